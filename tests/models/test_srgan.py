"""MRSRGAN: what it costs, what it replaces, what comes out."""

import copy

import pytest
import torch
from helpers import hosts
from mmagic.registry import MODELS
from torch.nn.functional import interpolate
from torch.utils.flop_counter import FlopCounterMode

from mmagic_mr.models import MRSRGAN
from mmagic_mr.models.batch import Batch
from mmagic_mr.sampling import add_noise_sites, sampling

PROXY = dict(type='ProxyMRLoss', loss_weight=10.0)


def build(**kwargs):
    return hosts.build(hosts.SRGAN, **kwargs)


def flops(function):
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def test_work_before_the_first_noise_is_done_once():
    """The first convolution, and the noise-free half of the first noisy one."""
    n, k = 2, 24
    network = MODELS.build(
        dict(type='MSRResNet', in_channels=3, out_channels=3, _scope_='mmagic')
    )
    add_noise_sites(network, 'srgan', MRSRGAN.noise_presets)
    network.to('meta')
    x = torch.empty(n, 3, 16, 16, device='meta')

    def forward(num_inputs, num_samples, images):
        with sampling(num_inputs, num_samples):
            return network(images)

    shared = flops(lambda: forward(n, k, x))
    repeated = flops(lambda: forward(n * k, 1, x.repeat(k, 1, 1, 1)))
    feature = torch.empty(n, 64, 16, 16, device='meta')
    once = flops(lambda: network.conv_first(x))
    conv1 = network.trunk_net[0].conv1
    once += flops(
        lambda: torch.nn.functional.conv2d(feature, conv1.weight, conv1.bias, padding=1)
    )
    assert repeated - shared == (k - 1) * once
    assert forward(n, k, x).shape == (n * k, 3, 64, 64)


def test_update_equals_that_of_repeated_inputs():
    model = build(mr_loss=None, rec_loss=dict(type='MSELoss'))
    hosts.check_update_equals_that_of_repeated_inputs(model, hosts.sr_data())


def test_moment_loss_replaces_pixel_and_perceptual_loss(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmagic_mr.models.reconstruction.print_log',
        lambda line, logger: lines.append(line),
    )

    def no_vgg(*args, **kwargs):
        raise AssertionError('the perceptual loss was built')

    monkeypatch.setattr('mmagic.models.losses.PerceptualLoss.__init__', no_vgg)
    model = build(
        pixel_loss=dict(type='L1Loss', loss_weight=1e-2),
        perceptual_loss=dict(type='PerceptualLoss', layer_weights={'34': 1.0}),
    )
    assert len(lines) == 1
    assert 'replaces pixel_loss (L1Loss), perceptual_loss (PerceptualLoss)' in lines[0]
    assert model.pixel_loss is None
    assert model.perceptual_loss is None
    assert hosts.check_training(model, hosts.sr_data()).keys() == {
        'loss_d_real',
        'loss_d_fake',
        'loss_gan_g',
        'loss_mr',
        'grad_gan',
        'grad_mr',
        'balance_mr',
        'sample_std',
        'mean_error',
    }


def test_baseline_keeps_the_hosts_terms():
    class Perceptual(torch.nn.Module):
        def forward(self, x, gt):
            return (x - gt).abs().sum(), None

    model = build(
        mr_loss=None,
        num_samples=1,
        pixel_loss=dict(type='MSELoss', loss_weight=1000.0),
    )
    model.perceptual_loss = Perceptual()
    y = torch.randn(2, 3, 32, 32)
    samples = torch.randn(2, 1, 3, 32, 32)
    losses = model.generator_losses(Batch(y[..., :8, :8], y), samples)
    assert losses.keys() == {'loss_gan_g', 'loss_pix', 'loss_perceptual'}
    difference = samples[:, 0] - y
    torch.testing.assert_close(losses['loss_pix'], 1000 * difference.square().mean())
    torch.testing.assert_close(losses['loss_perceptual'], difference.abs().sum())


def test_gan_alone():
    model = build(mr_loss=None, num_samples=1)
    logs = hosts.check_training(model, hosts.sr_data())
    assert logs.keys() == {'loss_d_real', 'loss_d_fake', 'loss_gan_g'}


def test_without_a_discriminator():
    model = build(discriminator=None, gan_loss=None)
    wrappers = dict(generator=hosts.optim_wrapper_of(model.generator))
    logs = model.train_step(hosts.sr_data(), wrappers)
    assert logs.keys() == {'loss_mr', 'sample_std', 'mean_error'}


@pytest.mark.parametrize('distribution', ['gaussian', 'laplace'])
def test_proxy(distribution):
    model = build(mr_loss=dict(PROXY, distribution=distribution))
    assert 'pred_std' in hosts.check_training(model, hosts.sr_data())


def test_bfloat16_autocast():
    with torch.autocast('cpu', torch.bfloat16):
        hosts.check_training(build(mr_loss=PROXY), hosts.sr_data())


def test_fields_of_a_test_step():
    hosts.check_host_fields(build(mr_loss=PROXY), hosts.sr_data(), 32)


def test_mmagics_own_ways():
    model = build(mr_loss=PROXY)
    own = ('noise', 'num_samples', 'mr_loss')
    stock = {k: v for k, v in hosts.SRGAN.items() if k not in own}
    stock = MODELS.build(dict(stock, type='SRGAN', pixel_loss=dict(type='L1Loss')))
    hosts.check_released_checkpoints_load(model, stock)
    hosts.check_mmagics_interface(model, hosts.sr_data())


def test_mmagics_metrics_read_them():
    from mmagic.evaluation.metrics import PSNR

    model = build()
    outputs = model.test_step(hosts.sr_data())
    metric = PSNR()
    metric.process(None, [output.to_dict() for output in outputs])
    for output, result in zip(outputs, metric.results, strict=True):
        error = (output.samples[0].round() - output.gt_img).square().mean()
        expected = 20 * torch.log10(255 / error.sqrt())
        assert result['PSNR'] == pytest.approx(float(expected), abs=0.05)


@pytest.mark.parametrize('size', [32, 40, 64, 128])
def test_discriminator_takes_any_size(size):
    network = MODELS.build(dict(type='PooledVGG', mid_channels=2, _scope_='mmagic'))
    assert network(torch.randn(2, 3, size, size)).shape == (2, 1)
    # As the authors': 4 stages, no BatchNorm in the first convolution.
    convolutions = [m for m in network.features if isinstance(m, torch.nn.Conv2d)]
    assert [c.stride[0] for c in convolutions] == [1, 2] * 4
    assert [c.out_channels for c in convolutions] == [2, 2, 4, 4, 8, 8, 16, 16]
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in network.features) == 7


def reduced(images):
    """To a quarter, as tools/prepare_data.py does it: antialiased bicubic."""
    return interpolate(images, scale_factor=0.25, mode='bicubic', antialias=True)


def test_low_resolution_psnr(capsys):
    """Samples, reduced as the data were, against the input, after a short training."""
    model = build(
        gan_loss=dict(hosts.GAN, loss_weight=0),
        generator=dict(hosts.SRGAN['generator'], mid_channels=16),
        mr_loss=dict(type='MRLoss', order=1),
        num_samples=6,
    )
    data = hosts.sr_data()
    for x, sample in zip(data['inputs'], data['data_samples'], strict=True):
        coarse = 255 * torch.rand(1, 3, 4, 4)
        image = interpolate(coarse, size=32, mode='bicubic')[0]
        # What the input does not fix.
        sample.gt_img = (image + 20 * torch.randn_like(image)).clamp(0, 255)
        x.copy_(reduced(sample.gt_img[None])[0].round().clamp(0, 255))
    adam = dict(type='Adam', lr=2e-3)
    wrappers = hosts.optim_wrapper(model, optimizer=adam)
    for _ in range(40):
        model.train_step(copy.deepcopy(data), wrappers)
    outputs = model.test_step(copy.deepcopy(data))

    def lr_psnr(outputs, inputs):
        error = torch.stack(
            [
                (reduced(output.samples) - x).square().mean((1, 2, 3))
                for output, x in zip(outputs, inputs, strict=True)
            ]
        )
        return 10 * torch.log10(255**2 / error)

    own = lr_psnr(outputs, data['inputs'])
    others = lr_psnr(outputs, data['inputs'][::-1])
    with capsys.disabled():
        print(
            f'\nLR-PSNR of {own.numel()} samples: mean {own.mean():.1f} dB, worst '
            f"{own.min():.1f} dB (another image's input: {others.mean():.1f} dB)"
        )
    assert 25 < own.min() < own.max() < 50
    assert others.max() < 20


@pytest.mark.parametrize(
    ('size', 'message'),
    [
        (16, r'enlarges 4 times.*pairs 8x8 with 16x16: set generator.upscale_factor'),
        (64, 'pairs 8x8 with 64x64'),
    ],
)
def test_scale_of_the_data_is_not_the_networks(size, message):
    data = hosts.sr_data(2)
    for sample in data['data_samples']:
        sample.gt_img = torch.zeros(3, size, size)
    model = build()
    with pytest.raises(ValueError, match=message):
        model.train_step(data, hosts.optim_wrapper(model))


def test_bad_arguments():
    with pytest.raises(ValueError, match=r'disc_repeat is 2.*gen_updates_per_disc'):
        build(train_cfg=dict(disc_repeat=2))
    with pytest.raises(ValueError, match=r'needs num_samples \(K\) of at least 2'):
        build(num_samples=1)
    with pytest.raises(ValueError, match='matches no convolution of MSRResNet'):
        build(noise=dict(sites={'trunk.conv9': 4}))


def test_hosts_schedule():
    model = build(train_cfg=dict(disc_steps=2, disc_init_steps=3))
    turns = [model.generator_turn(i) for i in range(8)]
    assert turns == [None] * 4 + [2, None, 3, None]


@pytest.mark.slow
def test_glean_is_this_host_with_another_network():
    network = dict(
        type='GLEANStyleGANv2', in_size=8, out_size=16, num_rrdbs=1, rrdb_channels=4
    )
    model = hosts.build(
        hosts.SRGAN | dict(generator=network, noise='glean', discriminator=None),
        sample_losses=dict(crps=dict(type='CRPSLoss')),
    ).eval()
    x = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        samples = model.sample(x, 3, seed=1)
        assert torch.equal(samples, model.sample(x, 3, seed=1))  # no noise but ours
        model.share_work = False
        repeated = model.sample(x, 3, seed=1)
    torch.testing.assert_close(samples, repeated, rtol=1e-4, atol=1e-5)
    assert samples.shape == (2, 3, 3, 16, 16)
    assert samples.std(1).max() > 0.01
