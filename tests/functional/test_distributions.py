"""Distributions: found by name, frozen, and new ones need no other place."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from torch.nn import functional as F

from mmagic_mr.errors import UserError
from mmagic_mr.functional import (
    DISTRIBUTIONS,
    Distribution,
    Moments,
    distribution_of,
    mr_loss,
    nll,
    proxy_mr_loss,
    sample_moments,
    scale_moments,
    variance_of,
)
from mmagic_mr.losses import ProxyMRLoss


class Uniform(Distribution):
    """Middle and squared half-width; its corrections are left out."""

    name = 'uniform'
    power = 2

    def sample_moments(self, samples, unbiased):
        low, high = samples.amin(1), samples.amax(1)
        return (low + high) / 2, ((high - low) / 2).square()

    def residual(self, target, center):
        return (target - center).square()

    def variance(self, dispersion):
        return dispersion / 3

    def residual_bias(self, dispersion, num_samples):
        return torch.zeros_like(dispersion)

    center_bias = dispersion_bias = residual_bias

    def unbiased_ratio(self, ratio, num_samples):
        return ratio


def test_they_are_found_by_name():
    assert [law.name for law in DISTRIBUTIONS.values()] == list(DISTRIBUTIONS)
    for name, law in DISTRIBUTIONS.items():
        assert distribution_of(name) is law
        assert distribution_of(law) is law
    for unknown in ('cauchy', None, ['gaussian']):
        with pytest.raises(UserError, match=r"'gaussian', 'laplace', got ") as error:
            distribution_of(unknown)
        assert repr(unknown) in str(error.value)


def test_they_have_no_state():
    for law in DISTRIBUTIONS.values():
        with pytest.raises(FrozenInstanceError):
            law.name = 'other'
    with pytest.raises(TypeError, match='abstract'):
        Distribution()


@pytest.mark.parametrize('by_name', [True, False])
def test_a_new_one_is_one_object(monkeypatch, by_name):
    monkeypatch.setitem(DISTRIBUTIONS, 'uniform', Uniform())
    law = 'uniform' if by_name else Uniform()
    samples = torch.tensor([1.0, 2.0, 5.0]).reshape(1, 3, 1, 1, 1)
    target = torch.full((1, 1, 1, 1), 4.0)
    moments = sample_moments(samples, law)
    assert [moment.item() for moment in moments] == [3.0, 4.0]
    assert variance_of(moments, law).item() == pytest.approx(4 / 3)
    assert mr_loss(samples, target, law, order=1).item() == 1
    log_dispersion = moments.dispersion.log()
    torch.testing.assert_close(
        mr_loss(samples, target, law, order=2),
        nll(moments.center, log_dispersion, target, law),
    )
    predicted = Moments(target, target + 1)
    assert proxy_mr_loss(samples, predicted, law).item() == 2
    assert ProxyMRLoss(law, loss_weight=10)(samples, predicted).item() == 20


def test_scaled_moments_are_those_of_scaled_samples():
    samples = torch.randn(2, 5, 3, 4, 4).double()
    for name in DISTRIBUTIONS:
        moments = scale_moments(sample_moments(samples, name), 3.0, name)
        torch.testing.assert_close(moments, sample_moments(3 * samples, name))
    with pytest.raises(UserError, match='got Tensor'):
        scale_moments(samples, 3.0, 'gaussian')


def test_gaussian_nll_equals_torch_above_the_floor():
    center, log_variance, target = torch.randn(3, 2, 3, 4, 5).double()
    expected = F.gaussian_nll_loss(
        center, target, log_variance.exp(), eps=1e-9, reduction='none'
    )
    torch.testing.assert_close(nll(center, log_variance, target, 'gaussian'), expected)
