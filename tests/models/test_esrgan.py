"""MRESRGAN: the relativistic terms are MMagic's."""

import torch
from helpers import hosts
from mmagic.registry import MODELS

BASELINE = dict(mr_loss=None, num_samples=1)


def both(**kwargs):
    """Ours and MMagic's ESRGAN, of the same weights."""
    ours = hosts.build(hosts.ESRGAN, **BASELINE, **kwargs).double()
    stock = hosts.stock_config(hosts.ESRGAN) | dict(pixel_loss=dict(type='L1Loss'))
    theirs = MODELS.build(stock | kwargs).double()
    theirs.load_state_dict(ours.state_dict(), strict=False)
    return ours, theirs


def images(n=3, k=1):
    y = torch.randn(n, 3, 32, 32, dtype=torch.double)
    samples = torch.randn(n, k, 3, 32, 32, dtype=torch.double, requires_grad=True)
    return hosts.batch_of(hosts.build(hosts.ESRGAN), hosts.sr_data(n)), y, samples


def test_generator_losses_are_mmagics():
    pixel = dict(type='L1Loss', loss_weight=1e-2)
    ours, theirs = both(pixel_loss=pixel, perceptual_loss=dict(type='Perceptual'))
    batch, y, samples = images()
    batch = type(batch)(batch.x.double(), y)
    mine = ours.generator_losses(batch, samples)
    mmagics = theirs.g_step(samples[:, 0], y)
    mmagics['loss_gan_g'] = mmagics.pop('loss_gan')
    assert mine.keys() == mmagics.keys()
    for name, loss in mine.items():
        torch.testing.assert_close(loss, mmagics[name], rtol=1e-12, atol=0)
    gradients = (
        torch.autograd.grad(sum(losses.values()), samples)[0]
        for losses in (mine, mmagics)
    )
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-15)
    assert all(p.grad is None for p in ours.discriminator.parameters())


def test_discriminator_update_is_mmagics():
    ours, theirs = both()
    batch, y, samples = images()
    batch = type(batch)(batch.x.double(), y)
    mine = ours.discriminator_losses(batch, y.unsqueeze(1), samples.detach())
    real = theirs.d_step_real(samples[:, 0], y)
    fake = theirs.d_step_fake(samples[:, 0], y)
    torch.testing.assert_close(mine['loss_d_real'], real, rtol=1e-12, atol=0)
    torch.testing.assert_close(mine['loss_d_fake'], fake, rtol=1e-12, atol=0)
    update = ours.discriminator_weight * sum(mine.values())
    gradients = (
        torch.autograd.grad(loss, list(model.discriminator.parameters()))
        for loss, model in ((update, ours), (real + fake, theirs))
    )
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-15)


def test_samples_are_compared_with_the_mean_of_all_targets():
    """By hand, with K = 2: the sums behind the relativistic logits."""
    ours, _ = both()
    ours.discriminator.eval()  # BatchNorm would mix the images
    batch, y, samples = images(n=2, k=2)
    batch = type(batch)(batch.x.double(), y)
    real = ours.discriminator(y)
    fake = ours.discriminator(samples.flatten(0, 1))
    relative_fake, relative_real = fake - real.mean(), real - fake.mean()
    soft = torch.nn.functional.softplus
    expected = (soft(-relative_fake).mean() + soft(relative_real).mean()) / 2
    loss = ours.generator_losses(batch, samples)['loss_gan_g']
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)
