"""MRPix2Pix: what an update computes, what it costs, what a test step gives."""

import copy

import pytest
import torch
from helpers.pix2pix import KEYS, build, data, moved, optim_wrapper, parameters
from mmagic.registry import MODELS
from torch.utils.flop_counter import FlopCounterMode

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.models.batch import Batch


def test_flops_of_a_generator_update():
    """At 256x256, two inputs, K = 10; repeated inputs would cost 1108 GFLOP."""
    model = build(num_down=8, base_channels=64, num_samples=10)
    model.discriminators['photo'] = MODELS.build(
        dict(type='PatchDiscriminator', in_channels=6, base_channels=64, num_conv=3)
    )
    model.to('meta')
    image = torch.empty(2, 3, 256, 256, device='meta')
    with FlopCounterMode(display=False) as counter:
        samples = model.draw(model.generators, Batch(image, image), 10)
        losses = model.generator_losses(Batch(image, image), samples)
        sum(losses.values()).backward()
    assert samples.shape == (2, 10, 3, 256, 256)
    assert set(losses) == {'loss_gan_g', 'loss_mr'}
    gflops = counter.get_total_flops() / 1e9
    print(f'generator update, two inputs, K = 10: {gflops:.1f} GFLOP')
    assert 500 < gflops <= 560


def test_update_equals_that_of_repeated_inputs():
    model = build(mr_loss=None, rec_loss=dict(type='MSELoss')).double()
    x, y = torch.randn(2, 2, 3, 32, 32, dtype=torch.double)
    z = {}
    samples = model.draw(model.generators, Batch(x, y), 3, keep=z)
    shared = model.generator_losses(Batch(x, y), samples)
    parameters = list(model.generators.parameters())
    ours = torch.autograd.grad(sum(shared.values()), parameters)

    z = {site: values.flatten(0, 1)[:, None] for site, values in z.items()}
    batch = Batch(x.repeat_interleave(3, 0), y.repeat_interleave(3, 0))
    samples = model.draw(model.generators, batch, 1, z=z)
    repeated = model.generator_losses(batch, samples)
    theirs = torch.autograd.grad(sum(repeated.values()), parameters)
    for name in shared:
        torch.testing.assert_close(shared[name], repeated[name], rtol=1e-10, atol=0)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-10)


def test_setting_the_moment_loss_replaces_l1(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmagic_mr.models.reconstruction.print_log',
        lambda line, logger: lines.append(line),
    )
    model = build(loss_config=dict(pixel_loss_weight=100.0))
    assert len(lines) == 1
    assert 'replaces loss_config.pixel_loss_weight=100.0 (L1)' in lines[0]
    assert model.pixel_loss_weight == 0
    batch = Batch(*torch.randn(2, 2, 3, 32, 32))
    samples = torch.randn(2, 3, 3, 32, 32)
    assert set(model.generator_losses(batch, samples)) == {
        'loss_gan_g',
        'loss_mr',
    }
    joint = build(rec_loss=dict(type='L1Loss', loss_weight=100.0))
    losses = joint.generator_losses(batch, samples)
    assert set(losses) == {'loss_gan_g', 'loss_mr', 'loss_rec'}
    expected = 100 * (samples - batch.y.unsqueeze(1)).abs().mean()
    torch.testing.assert_close(losses['loss_rec'], expected)


def test_baseline_keeps_the_hosts_l1():
    model = build(
        mr_loss=None, num_samples=1, loss_config=dict(pixel_loss_weight=100.0)
    )
    batch = Batch(*torch.randn(2, 2, 3, 32, 32))
    samples = torch.randn(2, 1, 3, 32, 32)
    losses = model.generator_losses(batch, samples)
    assert set(losses) == {'loss_gan_g', 'loss_pixel'}
    expected = 100 * (samples[:, 0] - batch.y).abs().mean()
    torch.testing.assert_close(losses['loss_pixel'], expected)


def test_each_update_moves_its_own_network():
    model = build()
    before = {k: parameters(getattr(model, k)) for k in model._modules if k[-1] == 's'}
    wrappers = optim_wrapper(model)
    model.train_step(data(), wrappers)
    for name in 'generators', 'discriminators':
        assert moved(before[name], getattr(model, name))
    # Gradients of G's update stop at D: it has none of its own left over.
    assert all(p.requires_grad for p in model.discriminators.parameters())


def test_generator_update_gives_the_discriminator_no_gradients():
    model = build()
    batch = Batch(*torch.randn(2, 2, 3, 32, 32))
    losses = model.generator_losses(batch, model.draw(model.generators, batch, 3))
    losses['loss_gan_g'].backward()
    assert all(p.grad is None for p in model.discriminators.parameters())
    assert any(p.grad.abs().sum() > 0 for p in model.generators.parameters())


def test_gan_weight_zero_leaves_the_discriminator_alone():
    model = build(gan_loss=dict(loss_weight=0))
    before = parameters(model.discriminators)
    logs = model.train_step(data(), optim_wrapper(model))
    assert set(logs) == {'loss_mr', 'sample_std', 'mean_error'}
    assert moved(before, model.discriminators) == []


def test_schedule_and_batch_of_the_generator(monkeypatch):
    from mmengine import MessageHub

    model = build(gen_updates_per_disc=3, gen_batch_size=2)
    wrappers = optim_wrapper(model)
    sizes, turns = [], []
    original = model.generator_losses

    def spy(batch, *args, **kwargs):
        sizes.append((len(batch.x), len(batch.y)))
        return original(batch, *args, **kwargs)

    monkeypatch.setattr(model, 'generator_losses', spy)
    hub = MessageHub.get_current_instance()
    for iteration in range(7):
        hub.update_info('iter', iteration)
        turns.append('loss_d_real' in model.train_step(data(), wrappers))
    assert turns == [True, False, False, True, False, False, True]
    assert sizes == [(2, 2)] * 7


def test_accumulated_gradients_are_those_of_the_mean():
    from mmengine import MessageHub

    model = build(gan_loss=dict(loss_weight=0))
    model.generators.eval()  # BatchNorm would tell the halves of the batch apart.
    hub = MessageHub.get_current_instance()
    before = parameters(model.generators)
    wrappers = optim_wrapper(model, accumulative_counts=2)
    hub.update_info('iter', 0)
    model.train_step(data(), wrappers)
    assert moved(before, model.generators) == []
    hub.update_info('iter', 1)
    model.train_step(data(), wrappers)
    assert moved(before, model.generators)


@pytest.mark.parametrize('proxy', [False, True])
def test_bfloat16_autocast(proxy):
    loss = dict(type='ProxyMRLoss' if proxy else 'MRLoss', loss_weight=10.0)
    model = build(mr_loss=loss)
    if proxy:
        model.predictor.trained.fill_(True)
    wrappers = optim_wrapper(model)  # mmengine's AMP wrapper refuses a CPU.
    with torch.autocast('cpu', torch.bfloat16):
        logs = model.train_step(data(), wrappers)
    assert all(torch.isfinite(torch.as_tensor(value)) for value in logs.values())
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_untrained_predictor_is_refused():
    model = build(mr_loss=dict(type='ProxyMRLoss'))
    with pytest.raises(ValueError, match=r'predictor was never trained.*checkpoint'):
        model.train_step(data(), optim_wrapper(model))


def test_predictor_never_changes():
    model = build(mr_loss=dict(type='ProxyMRLoss', loss_weight=10.0))
    model.predictor.trained.fill_(True)
    before = copy.deepcopy(model.predictor.state_dict())
    wrappers = optim_wrapper(model)
    for _ in range(2):
        model.train()
        model.train_step(data(), wrappers)
    after = model.predictor.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert all(p.grad is None for p in model.predictor.parameters())


@pytest.mark.parametrize('order', ['RGB', 'BGR', None])
def test_input_norm(order):
    mean, std = (0.4, 0.3, 0.2), (0.2, 0.1, 0.3)
    model = build(
        input_norm=dict(mean=mean, std=std),
        data_preprocessor=dict(
            type='DataPreprocessor', data_keys=KEYS, output_channel_order=order
        ),
    )
    raw = data(n=2)
    bgr = torch.stack([inputs['img_label'] for inputs in raw['inputs']])
    expected = (bgr.flip(1) / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(
        std
    ).view(3, 1, 1)
    batch = model.make_batch(model.data_preprocessor(copy.deepcopy(raw), True))
    x = batch.x if order == 'RGB' else batch.x.flip(1)
    torch.testing.assert_close(x, expected, rtol=1e-5, atol=1e-5)
    assert 'x_mean' not in model.state_dict()  # MMagic's checkpoints have none.


def test_fields_of_a_test_step():
    model = build(mr_loss=dict(type='ProxyMRLoss'), eval_num_samples=5)
    model.train()
    raw = data(n=3)
    outputs = model.test_step(copy.deepcopy(raw))
    assert model.training
    assert len(outputs) == 3
    x = torch.stack([inputs['img_label'] for inputs in raw['inputs']]) / 127.5 - 1
    model.eval()
    moments = model.predict_moments(x)
    for i, output in enumerate(outputs):
        assert output.samples.shape == (5, 3, 32, 32)
        # The network's range times 127.5, centered on 127.5: 0..255.
        torch.testing.assert_close(
            output.sample_mean, output.samples.mean(0), rtol=0, atol=1e-3
        )
        torch.testing.assert_close(
            output.sample_var, output.samples.var(0), rtol=1e-3, atol=1e-3
        )
        torch.testing.assert_close(
            output.pred_mean, moments.center[i] * 127.5 + 127.5, rtol=1e-4, atol=1e-3
        )
        torch.testing.assert_close(
            output.pred_var, moments.dispersion[i] * 127.5**2, rtol=1e-4, atol=1e-2
        )
        assert torch.equal(output.fake_photo, output.samples[0])
        assert torch.equal(output.img_photo, raw['data_samples'][i].img_photo)
    again = model.test_step({k: v[1:2] for k, v in copy.deepcopy(raw).items()})
    torch.testing.assert_close(again[0].samples, outputs[1].samples, rtol=0, atol=1e-2)
    seeded = [model.val_step(copy.deepcopy(raw), seed=s)[0].samples for s in (1, 1, 2)]
    assert torch.equal(seeded[0], seeded[1])
    assert not torch.equal(seeded[0], seeded[2])


def test_rgb_preprocessor_gives_bgr_fields():
    kwargs = dict(mr_loss=dict(type='ProxyMRLoss'))
    bgr = build(**kwargs)
    rgb = build(
        data_preprocessor=dict(
            type='DataPreprocessor', data_keys=KEYS, output_channel_order='RGB'
        ),
        **kwargs,
    )
    raw = data(n=1)
    # The same network fed with flipped channels gives, flipped back, other pictures;
    # moments and samples must agree on the order of theirs.
    for model in bgr, rgb:
        output = model.val_step(copy.deepcopy(raw))[0]
        torch.testing.assert_close(
            output.sample_var, output.samples.var(0), rtol=1e-3, atol=1e-3
        )
        assert torch.equal(output.img_photo, raw['data_samples'][0].img_photo)


def test_mmagics_interface_answers_with_one_image():
    model = build().train()
    x = torch.randn(2, 3, 32, 32)
    out = model(x, test_mode=True, target_domain='photo')
    assert out['target'].shape == (2, 3, 32, 32)
    assert model.training


@pytest.mark.parametrize(
    ('kwargs', 'error', 'message'),
    [
        (
            dict(num_samples=1),
            ValueError,
            r'MRLoss\) needs num_samples \(K\) of at least 2, and it is 1',
        ),
        (dict(noise=None), ValueError, 'without noise the K samples are the same'),
        (
            dict(num_samples=0),
            ValueError,
            'num_samples must be .* at least 1 or None, got 0',
        ),
        (dict(gen_batch_size=0), ValueError, 'gen_batch_size must be a whole number'),
        (
            dict(mr_loss=dict(type='MRLoss', distribution='cauchy')),
            ValueError,
            "distribution must be one of 'gaussian', 'laplace', got 'cauchy'",
        ),
        (dict(input_norm=dict(mean=(0, 0, 0), std=(1, 0, 1))), ValueError, 'positive'),
    ],
)
def test_bad_arguments(kwargs, error, message):
    with pytest.raises(error, match=message):
        build(**kwargs)


def test_bad_sampling_arguments():
    model = build()
    x = torch.randn(2, 3, 32, 32)
    with pytest.raises(ValueError, match='z or seed'):
        model.sample(x, z={}, seed=1)
    with pytest.raises(ValueError, match='3 seeds for 2 inputs'):
        model.sample(x, seed=[1, 2, 3])
