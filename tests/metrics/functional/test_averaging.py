"""Averages of samples of a known law: their gain and their spread."""

import math

import numpy as np
import pytest
import torch
from scipy import special

from mmagic_mr.errors import UserError
from mmagic_mr.metrics.functional.averaging import (
    average_sizes,
    average_std,
    exact_gain,
    nested_averages,
)
from mmagic_mr.metrics.functional.reconstruction import psnr


def test_sizes():
    assert [average_sizes(k) for k in (1, 2, 3, 31, 32, 64)] == [
        [1],
        [1, 2],
        [1, 2],
        [1, 2, 4, 8, 16],
        [1, 2, 4, 8, 16, 32],
        [1, 2, 4, 8, 16, 32],
    ]
    assert average_sizes(64, 6) == [1, 2, 4]


def test_exact_sampler_gains_what_it_should():
    rng = torch.Generator().manual_seed(0)
    y, *samples = 0.05 * torch.randn(33, 3, 128, 128, generator=rng)
    sizes = average_sizes(32)
    found = psnr(nested_averages(torch.stack(samples), sizes), y)
    due = [exact_gain(size) for size in sizes]
    np.testing.assert_allclose((found - found[0]).tolist(), due, atol=0.06)
    assert exact_gain(1) == 0
    assert exact_gain(10**9) == pytest.approx(10 * math.log10(2))


@pytest.mark.parametrize('ddof', [0, 1])
@pytest.mark.parametrize('k', [2, 5, 20])
def test_pixel_std_is_that_of_k_samples_of_a_gaussian(k, ddof):
    rng = torch.Generator().manual_seed(0)
    samples = 0.1 * torch.randn(k, 3, 128, 128, generator=rng)
    c4 = math.sqrt(2 / (k - 1)) * special.gamma(k / 2) / special.gamma((k - 1) / 2)
    due = 0.1 * c4 * math.sqrt((k - 1) / (k - ddof))
    assert average_std(samples, ddof) == pytest.approx(due, rel=0.01)


def test_one_sample_has_no_spread():
    with pytest.raises(UserError, match='got 1: add --cfg-options'):
        average_std(torch.zeros(1, 3, 2, 2))
