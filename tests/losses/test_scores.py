"""CRPS and energy score as losses: the mean of their formulas where they count."""

import pytest
import torch

from mmagic_mr.errors import UserError
from mmagic_mr.functional import crps, energy_score, patch_mask
from mmagic_mr.losses import CRPSLoss, EnergyScoreLoss


@pytest.fixture
def batch():
    """Samples, targets, and a mask: a hole, and one that is out of the square."""
    mask = torch.zeros(2, 1, 6, 7)
    mask[0, :, 1:5, 2:6] = 1
    mask[1, :, 0, 0] = mask[1, :, 2:5, 1:4] = 1
    return torch.randn(2, 5, 3, 6, 7), torch.randn(2, 3, 6, 7), mask


@pytest.mark.parametrize('alpha', [0.0, 0.95, 1.0])
def test_crps_loss_is_the_weighted_mean_of_its_formula(batch, alpha):
    samples, target, mask = batch
    loss, values = CRPSLoss(alpha, loss_weight=10.0), crps(samples, target, alpha)
    torch.testing.assert_close(loss(samples, target), 10 * values.mean())
    inside = values[(mask > 0).expand_as(values)].mean()
    torch.testing.assert_close(loss(samples, target, mask=mask), 10 * inside)


def test_crps_loss_is_fair_by_default(batch):
    samples, target, _ = batch
    torch.testing.assert_close(
        CRPSLoss()(samples, target), crps(samples, target, 1.0).mean()
    )


@pytest.mark.parametrize('patch', [1, 2, 3])
@pytest.mark.parametrize('beta', [1.0, 1.5])
def test_a_patch_counts_where_it_lies_wholly_inside(batch, patch, beta):
    samples, target, mask = batch
    loss = EnergyScoreLoss(patch, beta, loss_weight=10.0)
    values = energy_score(samples, target, patch, beta)
    torch.testing.assert_close(loss(samples, target), 10 * values.mean())
    chosen = []
    for n in range(2):
        for i in range(7 - patch):
            for j in range(8 - patch):
                if mask[n, 0, i : i + patch, j : j + patch].all():
                    chosen.append(values[n, :, i, j])
    expected = 10 * torch.stack(chosen).mean()
    torch.testing.assert_close(loss(samples, target, mask=mask), expected)


def test_a_patch_of_one_pixel_is_the_crps_loss(batch):
    samples, target, mask = batch
    torch.testing.assert_close(
        EnergyScoreLoss(1)(samples, target, mask=mask),
        CRPSLoss()(samples, target, mask=mask),
        rtol=0,
        atol=1e-6,
    )


def test_the_whole_image_is_what_lies_inside(batch):
    samples, target, mask = batch
    loss = EnergyScoreLoss()
    values = energy_score(samples, target)
    torch.testing.assert_close(loss(samples, target), values.mean())
    inside = [
        energy_score(
            samples[n][:, :, mask[n, 0] > 0].unsqueeze(0).unsqueeze(-1),
            target[n][:, mask[n, 0] > 0].unsqueeze(0).unsqueeze(-1),
        )
        for n in range(2)
    ]
    expected = sum(inside).item() / 2
    assert loss(samples, target, mask=mask).item() == pytest.approx(expected, rel=1e-5)
    # An image with nothing inside does not count at all.
    mask[1] = 0
    loss_of_first = loss(samples, target, mask=mask).item()
    assert loss_of_first == pytest.approx(inside[0].item(), rel=1e-5)


def test_a_fractional_mask_gives_a_patch_the_least_weight_inside():
    mask = torch.tensor([[0.2, 0.5, 1.0], [1.0, 0.5, 1.0]]).reshape(1, 1, 2, 3)
    torch.testing.assert_close(
        patch_mask(mask, 2), torch.tensor([0.2, 0.5]).reshape(1, 1, 1, 2)
    )
    assert patch_mask(mask, None).item() == 1
    assert patch_mask(0 * mask, None).item() == 0


def test_bad_options_are_refused_when_built():
    with pytest.raises(UserError, match=r'alpha must be from 0 to 1, got 1\.5'):
        CRPSLoss(alpha=1.5)
    with pytest.raises(UserError, match=r'patch must be .*got 0'):
        EnergyScoreLoss(patch=0)
    with pytest.raises(UserError, match='beta must be above 0 and below 2, got 2'):
        EnergyScoreLoss(beta=2)
