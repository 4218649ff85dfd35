"""The dispersion that each loss prefers, against closed forms at finite K."""

import numpy as np
import pytest
import torch
from helpers.formulas import preferred_scale
from scipy import stats
from torch.distributions import Exponential, Laplace, Normal

from mmagic_mr.functional import (
    Moments,
    mr_loss,
    proxy_mr_loss,
    sample_moments,
)

# Samples s * X and data Y of the same law of dispersion 1: the s of the least expected
# loss, and the s where its expected gradient vanishes. For Laplace these are two
# questions, as the gradient of the median is that of the mean.

DRAWS = {4: 200_000, 5: 200_000, 10: 100_000, 24: 50_000}


def monte_carlo(kind, distribution, num_samples, order, estimator):
    law = Normal(0.0, 1.0) if distribution == 'gaussian' else Laplace(0.0, 1.0)
    draws = DRAWS[num_samples]
    base = law.sample((1, num_samples, 1, 1, draws))
    if distribution == 'gaussian':
        base = stratified(base)
    if kind == 'mr':
        loss, target = mr_loss, law.sample((1, 1, 1, draws))
        if distribution == 'gaussian':
            target = target.sign()  # only the variance of the data matters, here 1
    else:
        zero = torch.zeros(1, 1, 1, draws)
        loss, target = proxy_mr_loss, Moments(zero, zero + 1)

    def expected_loss(scale):
        return loss(base * scale, target, distribution, order, estimator).mean()

    return expected_loss


def stratified(base):
    """Give the sample variances their exact quantiles.

    For Gaussian samples they are independent of everything else. Drawn at random they
    would need far more draws: 1/v of four samples has no variance.
    """
    num_samples, draws = base.shape[1], base.shape[-1]
    mean, var = base.mean(1, keepdim=True), base.var(1, keepdim=True)
    quantiles = (np.arange(draws) + 0.5) / draws
    exact = stats.chi2.ppf(quantiles, num_samples - 1) / (num_samples - 1)
    order = var.flatten().argsort()
    ratio = torch.empty(draws)
    ratio[order] = torch.from_numpy(exact).float() / var.flatten()[order]
    return mean + (base - mean) * ratio.sqrt()


@pytest.mark.parametrize('num_samples', [4, 10, 24])
@pytest.mark.parametrize('kind', ['mr', 'proxy'])
@pytest.mark.parametrize('estimator', ['paper', 'unbiased'])
def test_variance_preferred_by_gaussian_order_2(kind, num_samples, estimator):
    K = num_samples
    expected = 1.0
    if estimator == 'paper':
        expected = (
            (K - 1) / (K - 3) if kind == 'mr' else (2 - 1 / K) / (2 + 4 / (K - 1))
        )
    expected_loss = monte_carlo(kind, 'gaussian', K, 2, estimator)
    variance = preferred_scale(expected_loss, 'gradient') ** 2
    assert variance == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize('num_samples', [4, 5, 10, 24])
@pytest.mark.parametrize(('kind', 'order'), [('mr', 1), ('mr', 2), ('proxy', 2)])
@pytest.mark.parametrize('by', ['value', 'gradient'])
def test_dispersion_preferred_by_unbiased_laplace(kind, order, num_samples, by):
    expected_loss = monte_carlo(kind, 'laplace', num_samples, order, 'unbiased')
    tolerance = 0.1 if (kind, order) == ('mr', 1) else 0.015  # a flat minimum
    assert preferred_scale(expected_loss, by) == pytest.approx(1, rel=tolerance)


@pytest.mark.parametrize('num_samples', [4, 10])
@pytest.mark.parametrize(
    ('kind', 'distribution'),
    [('mr', 'gaussian'), ('proxy', 'gaussian'), ('proxy', 'laplace')],
)
def test_unbiased_order_1_is_indifferent_to_the_dispersion(
    kind, distribution, num_samples
):
    K = num_samples
    expected_loss = monte_carlo(kind, distribution, K, 1, 'unbiased')
    biased_loss = monte_carlo(kind, distribution, K, 1, 'paper')
    for scale in (0.5, 2.0):
        assert expected_loss(scale).item() == pytest.approx(
            float(kind == 'mr'), abs=0.02
        )
        assert biased_loss(scale).item() > (kind == 'mr') + 0.7 * scale**2 / K
        scale = torch.tensor(scale, requires_grad=True)
        (slope,) = torch.autograd.grad(expected_loss(scale), scale)
        assert slope.item() == pytest.approx(0, abs=0.02)


def test_unbiased_gaussian_proxy_holds_for_any_distribution():
    samples = Exponential(1.0).sample((1, 5, 1, 1, 400_000)).double()  # variance 1
    one = torch.ones(1, 1, 1, 400_000, dtype=torch.float64)
    for mean, variance in ((1.0, 1.0), (0.5, 2.0)):
        predicted = Moments(mean * one, variance * one)
        loss = proxy_mr_loss(samples, predicted, 'gaussian', 2, 'unbiased').mean()
        expected = (1 - mean) ** 2 + (1 - variance) ** 2
        assert loss.item() == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize('num_samples', [5, 10])
def test_unbiased_laplace_moments(num_samples):
    samples = Laplace(3.0, 2.0).sample((1, num_samples, 1, 1, 200_000))
    center, dispersion = sample_moments(samples, 'laplace', 'unbiased')
    assert center.mean().item() == pytest.approx(3, abs=0.01)
    assert dispersion.mean().item() == pytest.approx(2, abs=0.01)
