"""A loss of the user's own, as one would write it."""

import pytest
import torch
from torch.nn import functional as F

from mmagic_mr.errors import UserError
from mmagic_mr.functional import Moments, masked_mean, patch_mask
from mmagic_mr.losses import SampleLoss


class SpreadLoss(SampleLoss):
    """Distance of the mean from the data, less a reward for spread."""

    min_samples = 2

    def loss_map(self, samples, target):
        return (samples.mean(1) - target).abs() - samples.std(1)


class PooledLoss(SampleLoss):
    """The mean of 2 x 2 pixels, at every position: its map is smaller than the mask."""

    def forward(self, samples, *needed, mask=None):
        samples, (target,) = self.scaled(samples, needed)
        loss = F.avg_pool2d((samples.mean(1) - target).abs(), 2, stride=1)
        mask = None if mask is None else patch_mask(mask, 2)
        return self.loss_weight * masked_mean(loss, mask)


class StandardizedLoss(SampleLoss):
    """Needs the predicted moments and the data, in this order."""

    needs = ('moments', 'target')
    distribution = 'gaussian'

    def loss_map(self, samples, moments, target):
        return (samples.mean(1) - target).square() / moments.dispersion


def batch():
    mask = torch.zeros(2, 1, 6, 6)
    mask[:, :, 1:4, 2:5] = 1
    return torch.randn(2, 4, 3, 6, 6), torch.randn(2, 3, 6, 6), mask


def test_one_per_element():
    samples, target, mask = batch()
    expected = (samples.mean(1) - target).abs() - samples.std(1)
    loss = SpreadLoss(loss_weight=10.0, value_scale=2.0)
    torch.testing.assert_close(loss(samples, target), 20 * expected.mean())
    torch.testing.assert_close(
        loss(samples, target, mask=mask), 20 * expected[:, :, 1:4, 2:5].mean()
    )
    with pytest.raises(UserError, match=r'SpreadLoss needs at least K = 2 .*K = 1'):
        loss(samples[:, :1], target)
    assert repr(loss) == 'SpreadLoss(loss_weight=10.0, value_scale=2.0)'


def test_one_with_a_map_of_its_own():
    samples, target, mask = batch()
    inside = PooledLoss()(samples[..., 1:4, 2:5], target[..., 1:4, 2:5])
    torch.testing.assert_close(PooledLoss()(samples, target, mask=mask), inside)


def test_one_that_needs_more():
    samples, target, _ = batch()
    moments = Moments(target, target.square() + 1)
    loss = StandardizedLoss()(samples, moments, target)
    torch.testing.assert_close(
        StandardizedLoss(value_scale=5.0)(samples, moments, target), loss
    )


def test_one_without_a_formula_is_a_fault_of_the_program():
    samples, target, _ = batch()
    with pytest.raises(NotImplementedError, match='SampleLoss must define loss_map'):
        SampleLoss()(samples, target)
