"""The view through the trunk: the features of LPIPS, cheap in memory, invisible."""

import pytest
import torch
from helpers import pix2pix
from helpers.memory import saved_bytes
from helpers.metrics import random_trunk

from mmagic_mr.errors import UserError
from mmagic_mr.functional import Colors
from mmagic_mr.losses import CRPSLoss, EnergyScoreLoss, ProxyMRLoss
from mmagic_mr.networks import backbone, features
from mmagic_mr.networks.features import Features
from mmagic_mr.reports.loss_figures import feature_scores


@pytest.fixture(autouse=True)
def trunk(monkeypatch, tmp_path):
    """A cache with a trunk that nobody trained."""
    monkeypatch.setenv('MMAGIC_MR_CACHE', str(tmp_path))
    arrays = random_trunk()
    backbone.save_backbone(arrays, backbone.backbone_path(), 'alex', 'a test')


@pytest.mark.parametrize(
    ('name', 'layer'), [('features', 2), *((f'features{n}', n) for n in range(1, 6))]
)
def test_it_sees_what_lpips_sees(name, layer):
    from mmagic_mr.metrics.networks.perceptual import PerceptualDistance

    images = torch.rand(3, 3, 64, 48)
    expected = PerceptualDistance(backbone=backbone.backbone_path()).features(images)
    found = Features(name)(2 * images - 1)  # of itself it takes images for [-1, 1]
    torch.testing.assert_close(found, expected[layer - 1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(found[:, 0].shape))


def test_it_sees_how_pixels_go_together():
    """Features that nobody trained do already."""
    exact, independent = feature_scores(inputs=20)
    print(f'exact {exact:.4f}, independent {independent:.4f}')
    assert 0 < 1.06 * exact < independent


def test_chunks_change_nothing(monkeypatch):
    images = torch.rand(5, 3, 32, 32, requires_grad=True)
    results = []
    for chunk in 16, 2:
        monkeypatch.setattr(features, 'CHUNK', chunk)
        seen = Features()(images)
        gradient = torch.autograd.grad(seen.square().flatten(1)[:, ::7].sum(), images)
        results.append((seen.detach(), *gradient))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)
    assert results[0][1].abs().sum() > 0


def test_memory_is_that_of_the_images_and_of_the_result():
    """Of the activations in between, four times as many, nothing is kept."""
    images = torch.rand(20, 3, 64, 64, requires_grad=True)
    view = Features('features2')
    with saved_bytes() as kept:
        seen = view(images)
    assert seen.numel() > 1000
    assert sum(kept) <= 1.01 * images.numel() * 4


def test_a_place_without_features_has_a_finite_gradient():
    view = Features('features1')
    for module in view.trunk.modules():
        if getattr(module, 'bias', None) is not None:
            module.bias.data.fill_(-1e6)
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    view(images).sum().backward()
    features._trunk.cache_clear()
    assert images.grad.isfinite().all()


@pytest.mark.parametrize(
    ('scale', 'colors'),
    [
        (1.0, Colors()),
        (0.5, Colors()),
        (2.0, Colors(mean=[0.0], std=[255.0])),  # [0, 1]
        (1.0, Colors(mean=[0.0] * 3, std=[1.0] * 3, rgb=False)),  # MMagic's files
    ],
    ids=str,
)
def test_the_range_of_the_images_does_not_matter(scale, colors):
    """Once the loss was told it: the picture is one and the same."""
    levels = torch.rand(2, 4, 3, 32, 32) * 255  # RGB
    expected = CRPSLoss(views=dict(features3=1.0))
    expected = expected(levels / 127.5 - 1, levels[:, 0] / 127.5 - 1)
    ours = levels if colors.rgb else levels.flip(-3)
    images = (ours - colors.mean[0]) / colors.std[0]
    loss = CRPSLoss(views=dict(features3=1.0), value_scale=scale)
    loss.told_colors(colors)
    found = loss(images, images[:, 0])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)
    blind = CRPSLoss(views=dict(features3=1.0), value_scale=2.0)(images, images[:, 0])
    assert colors == Colors() or abs(blind / expected - 1) > 1e-3


def test_a_model_says_what_its_images_are():
    model = pix2pix.build(mr_loss=dict(type='CRPSLoss', views=dict(features=1.0)))
    ((view, _),) = model.sample_losses['mr'].views
    assert view.colors == Colors([127.5], [127.5], rgb=False)
    assert not [key for key in model.state_dict() if 'sample_losses' in key]
    assert not any(p.requires_grad for p in view.trunk.parameters())
    wrappers = pix2pix.optim_wrapper(model)
    logs = model.train_step(pix2pix.data(), wrappers)
    assert float(logs['loss_mr']) > 0
    assert all(p.grad is None for p in view.trunk.parameters())


def test_with_a_mask_the_outside_does_not_matter():
    loss = EnergyScoreLoss(views=dict(features=1.0))
    samples, target = torch.rand(2, 3, 3, 32, 32), torch.rand(2, 3, 32, 32)
    mask = torch.zeros(2, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    elsewhere = torch.where(mask[:, None] > 0, samples, torch.rand_like(samples))
    torch.testing.assert_close(
        loss(samples, target, mask=mask), loss(elsewhere, target, mask=mask)
    )


def test_half_precision_is_left_to_others():
    images = torch.rand(1, 3, 32, 32)
    with torch.autocast('cpu', torch.bfloat16):
        found = Features()(images)
    torch.testing.assert_close(found, Features()(images))
    assert Features()(images.double()).dtype == torch.float64


@pytest.mark.parametrize('shape', [(1, 3, 31, 40), (1, 3, 40, 16), (1, 1, 32, 32)])
def test_images_that_it_cannot_see(shape):
    with pytest.raises(UserError, match=r"'features' takes images of 3 channels, 32"):
        Features()(torch.rand(shape))


def test_without_the_file_the_model_is_not_built(monkeypatch, tmp_path):
    monkeypatch.setenv('MMAGIC_MR_CACHE', str(tmp_path / 'empty'))
    with pytest.raises(backbone.BackboneMissing, match=r'tools/fetch_backbone\.py'):
        pix2pix.build(mr_loss=dict(type='CRPSLoss', views=dict(features=1.0)))


@pytest.mark.parametrize('name', ['features0', 'features6', 'feature'])
def test_there_are_five_layers(name):
    with pytest.raises(UserError, match=f'no view {name!r}.*features1 to features5'):
        CRPSLoss(views={name: 1.0})


def test_no_predictor_has_moments_of_it():
    with pytest.raises(UserError, match=r"'features'.*CRPSLoss\(views="):
        pix2pix.build(mr_loss=dict(type='ProxyMRLoss', views=dict(features=1.0)))
    assert ProxyMRLoss(views=dict(features=1.0))  # with moments of one's own
