"""Half precision, memory format, fused optimizers and compiling: the same training."""

import copy
import logging

import pytest
import torch
from helpers import hosts
from mmengine.logging import MMLogger
from torch import nn

from mmagic_mr import optim
from mmagic_mr.errors import UserError
from mmagic_mr.host import MODELS, unwrap
from mmagic_mr.models.compiling import compile_parts, is_mixed
from mmagic_mr.models.memory_format import use_channels_last
from mmagic_mr.sampling import SharedForward
from mmagic_mr.sampling.channel_cat import ChannelCat

BF16 = optim.bf16_supported(torch.device('cpu'))
bf16 = pytest.mark.skipif(not BF16, reason='a CPU without bfloat16')
SOME = ['pix2pix', 'srgan', 'glcic']
FAST = dict(type='FastOptimWrapper', amp='bf16', fused=True)
ADAM = dict(type='Adam', lr=1e-3, weight_decay=1e-4, amsgrad=True)


# Smooth in the samples: untrained ones are alike, and a variance or the sign of a
# difference would be one of rounding
SMOOTH = dict(mr_loss=dict(type='MRLoss', order=1))


def built(name, **changes):
    return hosts.build(hosts.HOSTS[name].config, **SMOOTH | changes)


def update(model, data, double=False, **wrapper):
    """Loss terms and gradients of the first generator update."""
    wrappers = hosts.optim_wrapper(model, **wrapper)
    network = getattr(model, model.generator_name)
    batch = hosts.batch_of(model, data)
    if double:
        model.double()
        batch = hosts.map_batch(
            batch, lambda v: v.double() if v.is_floating_point() else v
        )
    torch.manual_seed(3)  # what seeds z
    with wrappers[model.generator_name].optim_context(network):
        terms, _ = model._generator_step(network, batch, 0, 1)
    gradients = torch.autograd.grad(sum(terms.values()), list(network.parameters()))
    return terms, gradients


def distance(found, expected):
    """Of all gradients together, relative."""
    found, expected = (
        torch.cat([g.reshape(-1) for g in group]) for group in (found, expected)
    )
    return ((found - expected).norm() / expected.norm()).item()


def log_of(action):
    """INFO lines and above, and the result."""
    lines = []

    class Keep(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())

    logger, handler = MMLogger.get_current_instance(), Keep()
    logger.addHandler(handler)
    optim._said.clear()
    try:
        return action(), lines
    finally:
        logger.removeHandler(handler)


# -- channels_last ---------------------------------------------------------------------


@pytest.mark.parametrize('name', SOME)
def test_channels_last_reaches_the_convolutions_and_changes_nothing(name):
    data = hosts.HOSTS[name].data()
    plain, other = built(name), built(name, channels_last=True)
    other.load_state_dict(plain.state_dict())  # what a seed draws lies otherwise
    terms, gradients = update(plain, data, double=True)
    seen = []

    def look(conv, args, output):
        for tensor in args[0], output:
            if isinstance(tensor, torch.Tensor) and min(tensor.shape[1:]) > 1:
                seen.append(tensor.is_contiguous(memory_format=torch.channels_last))

    for module in other.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(look)
    found, found_gradients = update(other, data, double=True)
    # The image itself may come as it lies; nothing after it does
    assert len(seen) > 10
    assert seen.count(False) <= 0.15 * len(seen)
    for term in terms:
        torch.testing.assert_close(found[term], terms[term], rtol=1e-9, atol=0)
    assert distance(found_gradients, gradients) < 1e-9


JUDGE = dict(in_channels=3, max_channels=8, fc_in_channels=8 * 2 * 2)


@pytest.mark.parametrize(
    ('judge', 'size'),
    [
        (
            dict(
                type='GLDiscs',
                global_disc_cfg=dict(JUDGE, num_convs=5),
                local_disc_cfg=dict(JUDGE, num_convs=4),
            ),
            64,
        ),
        (dict(type='ModifiedVGG', in_channels=3, mid_channels=2), 128),
    ],
)
def test_channels_last_where_linear_layers_follow(judge, size):
    """MMagic flattens by `view`, which does not take that format."""
    plain = MODELS.build(judge).eval()
    other = copy.deepcopy(plain)
    use_channels_last(other)
    images = torch.rand(2, 3, size, size)
    half = images[..., : size // 2, : size // 2]
    inputs = (images, half) if judge['type'] == 'GLDiscs' else images
    torch.testing.assert_close(other(inputs), plain(inputs))


# -- half precision --------------------------------------------------------------------


@bf16
@pytest.mark.parametrize('name', SOME)
def test_bfloat16_is_near_and_what_it_leaves_is_float32(name):
    data = hosts.HOSTS[name].data()
    terms, gradients = update(built(name), data)
    model = built(name)
    kinds = []
    network = unwrap(model.noisy_networks()[0])
    conv = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    conv.register_forward_hook(lambda m, a, output: kinds.append(output.dtype))
    found, found_gradients = update(model, data, type='FastOptimWrapper', amp='bf16')
    assert set(kinds) == {torch.bfloat16}
    for term in terms:
        assert found[term].dtype == torch.float32
        torch.testing.assert_close(found[term], terms[term], rtol=0.03, atol=0)
    assert all(g.dtype == torch.float32 for g in found_gradients)
    apart = distance(found_gradients, gradients)
    print(f'{name}: gradients in bfloat16 are {apart:.3f} away')
    # Global&Local's 17 normalized layers, untrained, of 8x8 places: chaos
    assert 1e-4 < apart < (0.9 if name == 'glcic' else 0.3)


@bf16
def test_samples_and_logits_are_float32_under_autocast():
    model = built('pix2pix')
    batch = hosts.batch_of(model, hosts.HOSTS['pix2pix'].data())
    with torch.autocast('cpu', torch.bfloat16):
        samples = model.draw(model.generators, batch, 3)
        logits = model.logits(model.discriminators, batch, samples)
        assert model.discriminators(
            torch.cat([batch.x, samples[:, 0]], 1), domain='photo'
        ).dtype == (torch.bfloat16)
    assert samples.dtype == logits.dtype == torch.float32


def test_the_log_says_the_type_once_and_a_device_without_it_is_refused(monkeypatch):
    def wrappers():
        return hosts.optim_wrapper(built('pix2pix'), **FAST | dict(amp='auto'))

    made, lines = log_of(wrappers)
    word = 'bfloat16 on cpu' if BF16 else 'compute in float32'
    assert len([line for line in lines if line.startswith('amp: ')]) == 1
    assert any(word in line for line in lines)
    monkeypatch.setattr(optim, 'bf16_supported', lambda device: False)
    made, lines = log_of(wrappers)
    assert made['generators'].dtype == torch.float32
    assert 'amp: cpu has no bfloat16: networks compute in float32' in lines
    with pytest.raises(UserError, match='cpu has no bfloat16; take "auto"'):
        hosts.optim_wrapper(built('pix2pix'), **FAST)
    with pytest.raises(UserError, match='amp must be'):
        hosts.optim_wrapper(built('pix2pix'), **FAST | dict(amp='int8'))


def test_accumulation_and_clipping_are_those_of_mmengine():
    net = nn.Linear(3, 1)
    wrapper = optim.FastOptimWrapper(
        optimizer=torch.optim.SGD(net.parameters(), lr=1.0),
        accumulative_counts=2,
        clip_grad=dict(type='value', clip_value=0.25),
    )
    before = net.weight.detach().clone()
    for moved in 0.0, 0.25:
        with wrapper.optim_context(net):
            loss = 100 * net(torch.ones(1, 3)).sum()
        wrapper.update_params(loss)
        expected = before - moved
        torch.testing.assert_close(net.weight.detach(), expected, rtol=0, atol=1e-6)


# -- fused optimizers ------------------------------------------------------------------


def trained(channels_last=False, state=None, steps=3, start=None, **wrapper):
    """A convolution after some steps of Adam with AMSGrad; its wrapper."""
    torch.manual_seed(0)
    net = nn.Conv2d(4, 5, 3)
    if start is not None:
        net.load_state_dict(start)
    if channels_last:
        net.to(memory_format=torch.channels_last)
    made = hosts.optim_wrapper_of(net, optimizer=ADAM, **wrapper)
    if state is not None:
        made.load_state_dict(copy.deepcopy(state))
    for step in range(steps):
        x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(step))
        made.update_params(net(x).square().sum())
    return net, made


def test_a_fused_optimizer_equals_the_plain_one():
    plain, _ = trained()
    fused, wrapper = trained(type='FastOptimWrapper')
    assert wrapper.fused
    torch.testing.assert_close(fused.weight, plain.weight, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('before', [False, True])
def test_a_state_of_another_memory_format_goes_to_the_same_weights(before):
    net, wrapper = trained(channels_last=before, type='FastOptimWrapper')
    state = wrapper.state_dict()
    assert {g['fused'] for g in state['param_groups']} == {None}
    plain, fast = (
        trained(other, state, start=net.state_dict(), **kind)[0].weight
        for other, kind in ((before, {}), (not before, dict(type='FastOptimWrapper')))
    )
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-7)


def test_what_is_not_there_fused_runs_plain_and_says_so():
    net = nn.Linear(2, 2)
    optimizer = torch.optim.Rprop(net.parameters())
    wrapper, lines = log_of(lambda: optim.FastOptimWrapper(optimizer=optimizer))
    assert not wrapper.fused
    assert 'PyTorch has no fused Rprop for cpu: unfused' in lines


# -- compiling -------------------------------------------------------------------------

EAGER = dict(backend='aot_eager')


@pytest.mark.parametrize('name', SOME)
def test_compiled_parts_give_the_same_update(name):
    data = hosts.HOSTS[name].data()
    terms, gradients = update(built(name), data)
    model, lines = log_of(lambda: built(name, compile=EAGER))
    (found, found_gradients), more = log_of(lambda: update(model, data))
    for term in terms:
        torch.testing.assert_close(found[term], terms[term], rtol=1e-4, atol=0)
    assert distance(found_gradients, gradients) < 1e-4
    said = [line for line in lines + more if line.startswith('compile: ')]
    print(name, said)
    expected = {
        'pix2pix': ['together in generators', 'together in discriminators'],
        'srgan': [],
        'glcic': [],
    }[name]
    assert len(said) == len(expected)
    for line, words in zip(said, expected, strict=True):
        assert words in line
    keys = built(name).state_dict().keys()
    assert model.state_dict().keys() == keys
    assert all(m._compiled_call_impl is None for m in copy.deepcopy(model).modules())


def test_only_rows_of_both_kinds_break_a_graph():
    one, many = torch.zeros(2, 1, 4, 4), torch.zeros(6, 1, 4, 4)
    with SharedForward(2, 3):
        cat = torch.cat([one, many], 1)
        assert isinstance(cat, ChannelCat)
        assert is_mixed((cat,))
        assert is_mixed((one, many))
        assert not is_mixed((many, dict(other=many)))
    assert not is_mixed((one, many))


def test_a_part_that_does_not_compile_runs_as_it_is():
    def broken(graph, inputs):
        raise RuntimeError('no compiler here')

    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    x = torch.ones(1, 2)
    expected = net(x)
    compile_parts(net, 'net', dict(backend=broken))
    found, lines = log_of(lambda: net(x))
    assert torch.equal(found, expected)
    (line,) = lines
    assert 'compile: net runs as it is, since ' in line
    assert 'no compiler here' in line


def test_a_gradient_penalty_leaves_the_discriminator_as_it_is():
    wgan = hosts.GAN | dict(gan_type='wgan')
    config = dict(compile=EAGER, gan_loss=wgan, gradient_penalty=dict(weight=10.0))
    model, lines = log_of(lambda: built('srgan', **config))
    assert model.discriminator._compiled_call_impl is None
    assert any('second derivatives' in line for line in lines)
    with pytest.raises(UserError, match="compile has no argument 'backed'"):
        built('srgan', compile=dict(backed='eager'))
