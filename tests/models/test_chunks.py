"""The generator's update in chunks of the samples is the update at once."""

import copy
import logging
from contextlib import contextmanager

import pytest
import torch
from helpers import hosts, pix2pix
from helpers.memory import peak_saved_bytes
from mmengine import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from mmagic_mr.models import chunks, gan, sampler
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.chunks import in_chunks, slices

K = 5
IN = dict(type='IN')
LOSSES = dict(
    mr=dict(type='MRLoss', order=1),
    crps=dict(type='CRPSLoss', views=dict(pixel=1.0, pool4=1.0)),
)
NETWORK = dict(base_channels=4, norm_cfg=IN)
WITHOUT_BATCH_NORM = dict(
    generator=dict(
        type='UnetGenerator', in_channels=3, out_channels=3, num_down=5, **NETWORK
    ),
    discriminator=dict(type='PatchDiscriminator', in_channels=6, num_conv=2, **NETWORK),
)


@OPTIM_WRAPPERS.register_module(force=True)
class InBfloat16(OptimWrapper):
    """As mmengine's for mixed precision, which takes no CPU."""

    @contextmanager
    def optim_context(self, model):
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield


def build(host, chunk, **kwargs):
    config = dict(num_samples=K, sample_chunk=chunk, sample_losses=LOSSES) | kwargs
    if host == 'two_stage':  # whose terms need it in one piece
        config['stage1_loss_type'] = None
    model = hosts.build(hosts.HOSTS[host].config, **copy.deepcopy(config))
    torch.manual_seed(3)  # of which the noise is a function
    return model


def updates(model, host, count=2, first=0, **wrapper):
    """Logs of some iterations; the model has made the ones before ``first``."""
    data, optimizer = hosts.HOSTS[host].data(), dict(type='SGD', lr=1e-3)
    wrapper = hosts.optim_wrapper(model, **{'optimizer': optimizer, **wrapper})
    logs = []
    for iteration in range(first, first + count):
        MessageHub.get_current_instance().update_info('iter', iteration)
        logs.append(model.train_step(copy.deepcopy(data), wrapper))
    return logs


def check_equal(ours, plain, tolerance=1e-9):
    others = plain.state_dict()
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, others[name], rtol=tolerance, atol=tolerance)


CASES = [
    (host, auto)
    for host in hosts.HOSTS
    for auto in (False, True)
    if not (auto and host in ('edit', 'glcic'))  # no GAN; a large network
]


@pytest.mark.parametrize(('host', 'auto'), CASES)
def test_every_host(host, auto):
    """Normalizations with fixed statistics; K is no multiple of the chunk."""
    more = dict(rec_loss=dict(type='L1Loss'), ema=dict(decay=0.9))
    if auto:
        weight = dict(crps=dict(type='CRPSLoss', loss_weight='auto'))
        more |= dict(sample_losses=weight, balance=dict(ratio=0.5, interval=1))
    models = [build(host, chunk, **more).double().eval() for chunk in (None, 2)]
    count = 1 if host == 'glcic' else 2
    plain, ours = (updates(model, host, count) for model in models)
    check_equal(*models)
    for before, after in zip(plain, ours, strict=True):
        assert before.keys() == after.keys()
        for name in before:
            torch.testing.assert_close(after[name], before[name], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    'wrapper',
    [
        dict(accumulative_counts=2),
        dict(clip_grad=dict(max_norm=1e-3)),
        dict(type='InBfloat16'),
    ],
)
def test_in_training_with_what_wraps_the_optimizer(wrapper):
    models = [build('pix2pix', chunk, **WITHOUT_BATCH_NORM) for chunk in (None, 2)]
    before = (
        models[0].generators.state_dict()['photo.model.model.0.conv.weight'].clone()
    )
    for model in models:
        updates(model, 'pix2pix', **wrapper)
    check_equal(*models, tolerance=1e-4 if 'type' in wrapper else 1e-6)
    after = models[1].generators.state_dict()['photo.model.model.0.conv.weight']
    assert not torch.equal(before, after)


def test_each_weight_gets_one_gradient_in_an_update():
    model = build('pix2pix', 2, **WITHOUT_BATCH_NORM)
    count = []
    for weight in model.generators.parameters():
        weight.register_post_accumulate_grad_hook(lambda w: count.append(id(w)))
    updates(model, 'pix2pix', count=1)
    assert sorted(count) == sorted(id(w) for w in model.generators.parameters())


def test_a_resumed_run_goes_on_as_it_would_have():
    whole, first, second = (build('pix2pix', 2) for _ in range(3))
    updates(whole, 'pix2pix', count=3)
    updates(first, 'pix2pix', count=2)
    second.load_state_dict(first.state_dict())
    updates(second, 'pix2pix', count=1, first=2)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_a_chunk_of_all_samples_is_the_plain_way(monkeypatch):
    def fail(*args):
        raise AssertionError('in chunks')

    monkeypatch.setattr(sampler, 'in_chunks', fail)
    monkeypatch.setattr(gan, 'in_chunks', fail)
    updates(build('pix2pix', K), 'pix2pix', count=1)
    with pytest.raises(AssertionError, match='in chunks'):
        updates(build('pix2pix', K - 1), 'pix2pix', count=1)


def test_batch_normalization_has_the_statistics_of_chunks():
    """Exact for these, and running statistics move once."""
    model = build('pix2pix', 2)
    batch = Batch(*torch.randn(2, 2, 3, 32, 32))
    before = copy.deepcopy(model.generators.state_dict())
    z = {}
    model.eval()
    model.draw(model.generators, batch, K, seeds=[1, 2], keep=z)
    model.train()

    def gradients(samples):
        model.zero_grad()
        samples.std(1).mean().backward()
        return [p.grad.clone() for p in model.generators.parameters()]

    ours = gradients(model.draw(model.generators, batch, K, 2, seeds=[1, 2]))
    after = copy.deepcopy(model.generators.state_dict())
    shares, parts = {}, []
    for part in slices(K, 2):
        for name, buffer in model.generators.named_buffers():
            buffer.data.copy_(before[name])
        some = {site: value[:, part] for site, value in z.items()}
        k = part.stop - part.start
        parts.append(model.draw(model.generators, batch, k, z=some))
        for name, value in model.generators.state_dict().items():
            shares[name] = shares.get(name, 0) + k / K * value
    theirs = gradients(torch.cat(parts, 1))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)
    for name, value in after.items():
        torch.testing.assert_close(
            value.float(), shares[name].float(), rtol=1e-4, atol=1e-5
        )


def test_batch_normalization_warns_once_when_built(monkeypatch):
    lines = []
    for module in sampler, gan:
        monkeypatch.setattr(
            module, 'print_log', lambda line, logger, level: lines.append((line, level))
        )
    model = build('pix2pix', 2)
    assert [level for _, level in lines] == [logging.WARNING] * 2
    assert 'sample_chunk=2: DomainNetworks has batch normalization' in lines[0][0]
    assert "norm_cfg=dict(type='IN')" in lines[0][0]
    assert 'judges all samples at once' in lines[1][0]
    updates(model, 'pix2pix', count=2)
    build('pix2pix', K)
    build('pix2pix', 2, **WITHOUT_BATCH_NORM)
    assert len(lines) == 2


@pytest.mark.parametrize('norm', ['BN', 'IN'])
def test_what_batch_normalization_makes_of_chunks(norm):
    """The number in docs/devices.md: how far a gradient in chunks is from the whole."""
    network = dict(num_down=5, base_channels=16, norm_cfg=dict(type=norm))
    config = WITHOUT_BATCH_NORM['generator'] | network
    model = pix2pix.build(generator=config).double()
    batch = Batch(*torch.randn(2, 2, 3, 32, 32, dtype=torch.float64))
    gradients = []
    for chunk in None, 8, 4, 2:
        model.zero_grad()
        samples = model.draw(model.generators, batch, 16, chunk, seeds=[1, 2])
        loss = model.sample_losses['mr'](samples, batch.y)
        loss.backward()
        found = [p.grad.flatten() for p in model.generators.parameters()]
        gradients.append(torch.cat(found))
    whole = gradients.pop(0)
    apart = [float((found - whole).norm() / whole.norm()) for found in gradients]
    print(f'{norm}: chunks of 8, 4, 2 of 16 samples: {apart} of the gradient')
    if norm == 'IN':
        assert max(apart) < 1e-10
    else:
        assert 0.1 < apart[0] < apart[1] < apart[2] < 0.5


def test_dropout_and_power_iterations_are_the_same_in_both_passes():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4)),
        nn.Dropout(0.5),
        nn.Linear(4, 2),
    )
    z, seen = torch.rand(4, 5, 3), []

    def run(part, _):
        seen.append(net(z[:, part]))
        return seen[-1]

    in_chunks(run, net, slices(5, 2)).sum().backward()
    for first, second in zip(seen[:3], seen[3:], strict=True):
        assert torch.equal(first, second)


def test_memory_is_that_of_a_chunk():
    """K = 64 against K = 4: images of 256 x 256, U-Net of 54 M parameters, PatchGAN.

    On 'meta', where bytes are counted and nothing is computed.
    """
    networks = pix2pix.config(num_down=8, base_channels=64)
    for name in 'generator', 'discriminator':
        networks[name]['norm_cfg'] = IN
    networks['discriminator']['num_conv'] = 3
    batch = Batch(*torch.empty(2, 2, 3, 256, 256, device='meta'))
    peaks = []
    for k in 4, 64:
        model = pix2pix.build(**networks | dict(num_samples=k, sample_chunk=4))
        model.to('meta')
        with peak_saved_bytes() as peak:
            samples = model.draw(model.generators, batch, k, 4, seeds=[1, 2])
            sum(model.generator_losses(batch, samples).values()).backward()
        peaks.append(peak[0] / 2**20)
    print(f'{peaks[0]:.0f} MiB, {peaks[1]:.0f} MiB')
    assert 300 < peaks[0] < 400
    assert 200 < peaks[1] < 1.15 * peaks[0]


def test_slices():
    assert [(s.start, s.stop) for s in chunks.slices(4, 4)] == [(0, 4)]
    assert [(s.start, s.stop) for s in chunks.slices(3, 1)] == [(0, 1), (1, 2), (2, 3)]
