"""Center, dispersion and variance, and the constants of a finite K."""

import numpy as np
import pytest
import torch
from helpers.formulas import draw
from torch.distributions import Laplace, Normal

from mmagic_mr.functional import (
    Moments,
    sample_moments,
    variance_of,
)
from mmagic_mr.functional.laplace import _integral, laplace_constants


@pytest.mark.parametrize('num_samples', [2, 5, 10])
def test_gaussian_moments(num_samples):
    samples = draw(2, num_samples, 3, 4, 5)
    for estimator in ('paper', 'unbiased'):
        mean, var = sample_moments(samples, 'gaussian', estimator)
        np.testing.assert_allclose(mean, samples.numpy().mean(1), atol=1e-12)
        np.testing.assert_allclose(var, samples.numpy().var(1, ddof=1), atol=1e-12)


@pytest.mark.parametrize('num_samples', [2, 5, 10])
def test_laplace_moments(num_samples):
    samples = draw(2, num_samples, 3, 4, 5)
    array = samples.numpy()
    lower = np.sort(array, 1)[:, (num_samples - 1) // 2]
    median, mad = sample_moments(samples, 'laplace')
    np.testing.assert_array_equal(median, lower)
    np.testing.assert_allclose(mad, np.abs(array - lower[:, None]).mean(1), atol=1e-12)

    middle = np.median(array, 1)
    median, mad = sample_moments(samples, 'laplace', 'unbiased')
    np.testing.assert_allclose(median, middle, atol=1e-12)
    expected = np.abs(array - middle[:, None]).mean(1)
    expected /= laplace_constants(num_samples).mad
    np.testing.assert_allclose(mad, expected, atol=1e-12)


@pytest.mark.parametrize('distribution', ['gaussian', 'laplace'])
@pytest.mark.parametrize('estimator', ['paper', 'unbiased'])
def test_one_sample_has_a_center_and_no_dispersion(distribution, estimator):
    samples = draw(2, 1, 3, 4, 5)
    center, dispersion = sample_moments(samples, distribution, estimator)
    assert torch.equal(center, samples[:, 0])
    assert dispersion.isnan().all()


def test_constants_by_hand():
    # E|X1 - X2| = 3/2 for two Laplace variables; the median of two is their mean.
    two = laplace_constants(2)
    assert two.mad == pytest.approx(3 / 4)
    assert two.center_penalty == pytest.approx((9 / 16, 9 / 16))
    # Three: with probability 1/4 all have one sign, and |M| is the second of three
    # exponential variables; else it is the smaller one of two.
    median_sq = 1 / 4 * ((1 / 3 + 1 / 2) ** 2 + 1 / 9 + 1 / 4) + 3 / 4 * 2 / 4
    # B is a third of the range, which has gaps of mean 1/2 and 1, or 1/2, 1 and 1.
    range_sq = 1 / 4 * (1.5**2 + 1 / 4 + 1) + 3 / 4 * (2.5**2 + 1 / 4 + 2)
    mad = (1 / 4 * 1.5 + 3 / 4 * 2.5) / 3
    three = laplace_constants(3)
    assert three.mad == pytest.approx(mad)
    assert three.center_penalty.value == pytest.approx(
        median_sq * mad**2 / (range_sq / 9)
    )
    assert three.dispersion_penalty == pytest.approx(1 - mad**2 / (range_sq / 9))


@pytest.mark.parametrize('power', [3, 9, 23])
def test_integral_of_the_constants(power):
    integral = _integral(lambda t: (1 + t / power) ** -power)
    assert integral == pytest.approx(power / (power - 1), rel=1e-7)


@pytest.mark.parametrize(
    ('distribution', 'reference'),
    [
        ('gaussian', lambda b: Normal(0, b.sqrt())),
        ('laplace', lambda b: Laplace(0, b)),
    ],
)
def test_variance_of(distribution, reference):
    dispersion = torch.rand(2, 3, 4, 4) + 0.1
    moments = Moments(torch.zeros_like(dispersion), dispersion)
    torch.testing.assert_close(
        variance_of(moments, distribution), reference(dispersion).variance
    )
