"""Every formula against an independent reference, or by hand."""

import itertools

import numpy as np
import pytest
import torch
from helpers.formulas import draw
from torch.distributions import Laplace, Normal

from mmagic_mr.functional import (
    Moments,
    mr_loss,
    nll,
    proxy_mr_loss,
    sample_moments,
)


@pytest.mark.parametrize('min_noise', [0.0, 0.01])
def test_nll_is_the_negative_log_likelihood(min_noise):
    center, log_dispersion, target = draw(3, 2, 3, 4, 5)
    dispersion = log_dispersion.exp()

    loss = nll(center, log_dispersion, target, 'gaussian', 2, min_noise)
    expected = -Normal(center, dispersion.sqrt()).log_prob(target)
    expected = expected - np.log(2 * np.pi) / 2 + min_noise / 2 / dispersion
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-10)

    loss = nll(center, log_dispersion, target, 'laplace', 2, min_noise)
    expected = -Laplace(center, dispersion).log_prob(target)
    expected = expected - np.log(2) + min_noise / dispersion
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-10)


def test_nll_of_order_1_is_the_residual():
    center, log_dispersion, target = draw(3, 2, 3, 4, 5)
    for log_dispersion_or_none in (log_dispersion, None):
        args = center, log_dispersion_or_none, target
        torch.testing.assert_close(
            nll(*args, 'gaussian', order=1, min_noise=1.0), (center - target) ** 2
        )
        torch.testing.assert_close(
            nll(*args, 'laplace', order=1), (center - target).abs()
        )


def test_min_noise_is_the_dispersion_of_a_perfect_predictor():
    center = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    for distribution in ('gaussian', 'laplace'):
        log_dispersion = torch.full_like(center, np.log(0.01)).requires_grad_()
        nll(center, log_dispersion, center, distribution, 2, 0.01).backward()
        assert abs(log_dispersion.grad.item()) < 1e-12


@pytest.mark.parametrize('min_noise', [0.0, 0.01])
def test_mr_of_order_2_is_the_likelihood_under_the_sample_moments(min_noise):
    samples, target = draw(2, 6, 3, 4, 5), draw(2, 3, 4, 5)
    for distribution in ('gaussian', 'laplace'):
        center, dispersion = sample_moments(samples, distribution)
        torch.testing.assert_close(
            mr_loss(samples, target, distribution, 2, min_noise=min_noise),
            nll(center, dispersion.log(), target, distribution, 2, min_noise),
        )


@pytest.mark.parametrize(
    ('distribution', 'expected'),
    [
        # samples 1, 2, 4, 9: mean 4, variance 38/3; lower median 2, deviation 10/4
        ('gaussian', (1.0, 3 / 76 + np.log(38 / 3) / 2, 4.0, 4 + (8 / 3) ** 2)),
        ('laplace', (3.0, 3 / 2.5 + np.log(2.5), 16.0, 16 + 7.5**2)),
    ],
)
def test_algorithms_1_to_8_by_hand(distribution, expected):
    samples = torch.tensor([9.0, 1.0, 4.0, 2.0]).reshape(1, 4, 1, 1, 1)
    target = torch.full((1, 1, 1, 1), 5.0)
    predicted = Moments(target + 1, target + 5)
    values = [
        mr_loss(samples, target, distribution, 1),
        mr_loss(samples, target, distribution, 2),
        proxy_mr_loss(samples, predicted, distribution, 1),
        proxy_mr_loss(samples, predicted, distribution, 2),
    ]
    assert [value.item() for value in values] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize('num_samples', [4, 6])
def test_unbiased_gaussian_proxy_is_the_average_over_all_splits_in_halves(num_samples):
    samples, predicted = draw(1, num_samples, 2, 3, 3), Moments(*draw(2, 1, 2, 3, 3))
    splits = list(itertools.combinations(range(num_samples), num_samples // 2))
    expected = 0
    for half in splits:
        rest = [index for index in range(num_samples) if index not in half]
        first = sample_moments(samples[:, list(half)], 'gaussian')
        second = sample_moments(samples[:, rest], 'gaussian')
        for a, b, true in zip(first, second, predicted, strict=True):
            expected = expected + (a - true) * (b - true) / len(splits)
    loss = proxy_mr_loss(samples, predicted, 'gaussian', 2, 'unbiased')
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-10)
