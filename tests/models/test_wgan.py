"""WGAN-GP: the discriminator's gradient penalty, and the sign of the GAN terms."""

import copy

import pytest
import torch
from helpers import hosts, pix2pix
from mmagic.models.losses.gan_loss import gradient_penalty_loss
from torch import nn

from mmagic_mr.errors import UserError
from mmagic_mr.models.gradient_penalty import gradient_penalty

WGAN = dict(type='GANLoss', gan_type='wgan', loss_weight=0.3)
PATCHES = dict(type='PatchDiscriminator', in_channels=3, base_channels=4, num_conv=2)
PAIRS = dict(PATCHES, in_channels=6, norm_cfg=dict(type='IN'))
HOSTS = {
    'pix2pix': (
        hosts.HOSTS['pix2pix'].config | dict(gan_loss=WGAN, discriminator=PAIRS),
        pix2pix.data,
    ),
    'srgan': (hosts.SRGAN | dict(gan_loss=WGAN), hosts.sr_data),
    'esrgan': (hosts.ESRGAN | dict(gan_loss=WGAN), hosts.sr_data),
    'glcic': (hosts.GLCIC | dict(loss_gan=WGAN), hosts.gl_data),
}


@pytest.fixture(params=HOSTS)
def host(request):
    return HOSTS[request.param]


def build(config, weight=10.0, **kwargs):
    losses = dict(crps=dict(type='CRPSLoss'))
    penalty = dict(weight=weight)
    return hosts.build(config, sample_losses=losses, gradient_penalty=penalty, **kwargs)


def images(model, data):
    batch = hosts.batch_of(model, data)
    real = batch.y.unsqueeze(1)
    with torch.no_grad():
        fake = model.compose(batch, model.draw(model.sampled_network, batch, 1))
    return batch, real, fake


def test_equals_mmagics_for_a_critic_of_one_number():
    critic = nn.Sequential(
        *(nn.Conv2d(3, 4, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(36, 1))
    ).double()
    real, fake = torch.rand(2, 5, 3, 8, 8, dtype=torch.double)
    torch.manual_seed(1)
    expected = gradient_penalty_loss(critic, real, fake, norm_mode='HWC')
    torch.manual_seed(1)
    ours = gradient_penalty(critic, real, fake, torch.rand(5, 1, 1, 1).flatten())
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=0)


def test_of_a_linear_critic_of_patches_it_is_in_closed_form():
    critic = nn.Conv2d(1, 1, 2, 2, bias=False).double()  # 4 patches apart
    real, fake = torch.rand(2, 3, 1, 4, 4, dtype=torch.double)
    ours = gradient_penalty(critic, real, fake, torch.rand(3))
    # The mean over 4 patches: each pixel has a quarter of its weight, four times over.
    norm = critic.weight.norm() / 4 * 4**0.5
    torch.testing.assert_close(ours, (norm - 1).square(), rtol=1e-10, atol=0)


def test_it_is_looked_at_inside_the_mask_alone():
    weight = torch.rand(1, 1, 4, 4, dtype=torch.double)
    real, fake = torch.rand(2, 3, 1, 4, 4, dtype=torch.double)
    mask = torch.zeros(3, 1, 4, 4)
    mask[..., :2] = 1
    ours = gradient_penalty(
        lambda x: (weight * x).sum((1, 2, 3)), real, fake, torch.rand(3), mask
    )
    expected = (weight[..., :2].norm() - 1).square()
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=0)


def test_half_precision_does_not_reach_it():
    critic = nn.Conv2d(3, 1, 3)
    real, fake, share = *torch.rand(2, 2, 3, 8, 8), torch.rand(2)
    expected = gradient_penalty(critic, real, fake, share)
    with torch.autocast('cpu', torch.bfloat16):
        ours = gradient_penalty(critic, real, fake.bfloat16().float(), share)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-7)


def seeds_of(model, batch, iteration):
    return model._train_seeds(len(batch.x), iteration, purpose=2)


def test_of_a_host_it_equals_an_independent_computation(host):
    """Image by image, by the gradient of the mean logit of the whole discriminator."""
    config, data = host
    model = build(config).eval().double()  # BatchNorm would join the images
    batch, real, fake = images(model, data(3))
    ours = model._penalty(batch, real, fake, seeds_of(model, batch, 4))
    seeds = model._train_seeds(3, 4, purpose=2)
    deviations = []
    for i, seed in enumerate(seeds):
        t = torch.rand((), generator=torch.Generator().manual_seed(seed))
        row = hosts.map_batch(batch, lambda v, i=i: v[i : i + 1])
        place = (t * real[i] + (1 - t) * fake[i])[None].requires_grad_()
        logit = model.discriminate(model.bare_discriminator, row, place).mean()
        (slope,) = torch.autograd.grad(logit, place)
        if batch.mask is not None:
            slope = slope * batch.mask[i]
        deviations.append((slope.square().sum().sqrt() - 1) ** 2)
    expected = 10 * torch.stack(deviations).mean()
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-8)
    weights = list(model.bare_discriminator.parameters())
    gradients = torch.autograd.grad(ours, weights, allow_unused=True)
    assert any(g is not None and g.abs().max() > 0 for g in gradients)


def test_it_is_logged_and_every_network_is_trained(host):
    config, data = host
    logs = hosts.check_training(build(config), data(3))
    assert {'loss_gp', 'loss_d_real', 'loss_d_fake', 'loss_gan_g'} <= logs.keys()
    assert logs['loss_gp'] > 0
    without = hosts.check_training(
        hosts.build(config, sample_losses=dict(crps=dict(type='CRPSLoss'))), data(3)
    )
    assert 'loss_gp' not in without


def test_one_update_brings_the_slopes_nearer_to_one(host):
    config, data = host
    model = build(config, weight=1000.0)
    model.bare_discriminator.eval()
    batch, real, fake = images(model, data(3))
    wrapper = hosts.optim_wrapper_of(
        model.bare_discriminator, optimizer=dict(type='Adam', lr=1e-4)
    )
    before = model._penalty(batch, real, fake, seeds_of(model, batch, 0)).item()
    model._update_discriminator(batch, wrapper, 0)
    after = model._penalty(batch, real, fake, seeds_of(model, batch, 0)).item()
    assert after < before


def test_the_generator_raises_the_critics_word(host):
    config, data = host
    model = build(config)
    batch, real, fake = images(model, data(3))
    model.bare_discriminator.eval()
    fake.requires_grad_()
    logits = model.discriminate(model.bare_discriminator, batch, fake)
    loss = model.adversarial_loss(batch, fake)
    if config['type'] != 'MRESRGAN':  # whose terms are of differences
        torch.testing.assert_close(loss, -0.3 * logits.mean(), rtol=1e-4, atol=1e-6)
    (slope,) = torch.autograd.grad(loss, fake)
    (up,) = torch.autograd.grad(logits.mean(), fake)
    torch.testing.assert_close(slope, -0.3 * up, rtol=1e-3, atol=1e-7)
    losses = model.discriminator_losses(batch, real, fake.detach())
    total = model.discriminator_weight * sum(losses.values())
    real = model.discriminate(model.bare_discriminator, batch, real)
    expected = model.discriminator_weight * (logits.mean() - real.mean())
    torch.testing.assert_close(total, expected, rtol=1e-3, atol=1e-6)


def test_the_place_between_repeats_and_differs():
    config, data = HOSTS['srgan']
    model = build(config).eval()
    batch, real, fake = images(model, data(3))
    once, again, other = (
        model._penalty(batch, real, fake, seeds_of(model, batch, i)) for i in (1, 1, 2)
    )
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


@pytest.mark.parametrize(
    ('penalty', 'message'),
    [
        (dict(weight=0), 'gradient_penalty: weight must be .* above 0, got 0'),
        (dict(weight=-1.0), 'gradient_penalty: weight must be .*, got -1.0'),
        ({}, 'gradient_penalty: weight must be .*, got None'),
        (dict(wieght=10.0), "gradient_penalty has no argument 'wieght'.*weight"),
        (10.0, 'gradient_penalty must be a dict or None, got 10.0'),
    ],
)
def test_a_bad_penalty_is_refused_by_name(penalty, message):
    with pytest.raises(UserError, match=message):
        hosts.build(hosts.SRGAN, gradient_penalty=penalty)


@pytest.mark.parametrize('gan_loss', [None, dict(WGAN, loss_weight=0)])
def test_a_penalty_without_a_gan_loss_is_refused(gan_loss):
    model = build(hosts.SRGAN | dict(gan_loss=gan_loss))
    with pytest.raises(UserError, match='there is no GAN loss'):
        model.train_step(hosts.sr_data(), hosts.optim_wrapper(model))


@pytest.mark.parametrize('norm', ['BN', 'IN'])
def test_batch_normalization_is_warned_of_once(norm, monkeypatch):
    config, data = HOSTS['pix2pix']
    discriminator = dict(PAIRS, norm_cfg=dict(type=norm))
    model = build(config | dict(discriminator=discriminator))
    lines = []
    monkeypatch.setattr(
        'mmagic_mr.models.gan.print_log', lambda line, *rest: lines.append(line)
    )
    wrappers = hosts.optim_wrapper(model, optimizer=dict(type='SGD', lr=1e-4))
    for _ in range(2):
        model.train_step(copy.deepcopy(data(2)), wrappers)
    assert len(lines) == (norm == 'BN')
