"""Calibration against samplers whose every answer is known in closed form.

The target is N(m, s^2), a sample N(m, (c s)^2) with m different in each pixel:
c = 1 is exact, 1/2 and 2 have half and double the spread.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Laplace, Normal

from mmagic_mr.metrics.functional.calibration import (
    gaussian_nll,
    image_calibration,
    moment_error,
    pool,
    rank_flatness,
    summarize,
    summarize_moments,
    target_ranks,
)

K, SIGMA = 10, 0.05
INPUTS, SIZE = 20, 32


def sampler(c):
    generator = torch.Generator().manual_seed(0)
    for _ in range(INPUTS):
        center = torch.rand(3, SIZE, SIZE, generator=generator).double()
        noise = torch.randn(K + 1, 3, SIZE, SIZE, generator=generator).double()
        noise[1:] *= c
        images = center + SIGMA * noise
        yield images[1:], images[0], center


def summary(c, cell=1):
    return summarize(
        [
            image_calibration(s, y, cell, index=i)
            for i, (s, y, _) in enumerate(sampler(c))
        ]
    )


@pytest.mark.parametrize(
    ('c', 'word'), [(0.5, 'under-dispersed'), (1, 'ok'), (2, 'over-dispersed')]
)
@pytest.mark.parametrize('cell', [1, 4])
def test_closed_form_sampler(c, word, cell):
    found = summary(c, cell)
    sigma = SIGMA / cell  # independent pixels: the mean of cell^2
    cells = INPUTS * 3 * (SIZE // cell) ** 2
    close = dict(rel=0.02 if cell == 1 else 0.06)
    assert found['verdict'] == word
    # Fortin et al.: sqrt((K+1)/K) c / sqrt(1 + c^2/K)
    ratio = math.sqrt((K + 1) / K) * c / math.sqrt(1 + c * c / K)
    assert found['spread_skill'] == pytest.approx(ratio, **close)
    assert (
        found['spread_skill_low'] < found['spread_skill'] < found['spread_skill_high']
    )
    assert found['spread'] == pytest.approx(c * sigma, **close)
    # E|s - y| - E|s - s'|/2 of normal variables
    crps = sigma * (math.sqrt(2 * (1 + c * c) / math.pi) - c / math.sqrt(math.pi))
    assert found['crps'] == pytest.approx(crps, **close)
    assert found['gain'] == pytest.approx((1 + c * c) / (1 + c * c / K), **close)
    assert found['gain_exact'] == pytest.approx(2 * K / (K + 1))
    assert abs(found['bias']) < 4 * sigma * math.sqrt((1 + c * c / K) / cells)
    # P(y above all K samples), twice, over 2/(K+1); four standard errors
    x = np.linspace(-8, 8, 4001)
    outside = 2 * (stats.norm.pdf(x) * stats.norm.cdf(x / c) ** K).sum() * (x[1] - x[0])
    assert found['outer'] == pytest.approx(
        outside * (K + 1) / 2, rel=4 / math.sqrt(outside * cells)
    )
    if c == 1:
        assert found['unevenness'] < 4 * math.sqrt((K + 1) / cells)
    assert sum(found['ranks']) == pytest.approx(1)


def test_nll_of_the_exact_sampler_has_the_known_excess():
    """Plugging in K samples' moments costs: (K+1)/K (K-1)/(K-3)/2 + E log v / 2."""
    found = summary(1)
    log_var = (
        math.log(SIGMA**2)
        + torch.digamma(torch.tensor((K - 1) / 2.0)).item()
        - math.log((K - 1) / 2)
    )
    expected = ((K + 1) / K * (K - 1) / (K - 3) + log_var + math.log(2 * math.pi)) / 2
    assert found['nll'] == pytest.approx(expected, abs=0.02)


def test_structure_is_judged_by_the_cells():
    """Pixel noise where the truth varies in blocks: right per pixel, not in cells."""
    rng = torch.Generator().manual_seed(0)
    by_cell = {1: [], 4: []}
    for index in range(30):
        y = (
            torch.randn(3, 8, 8, generator=rng)
            .repeat_interleave(4, -1)
            .repeat_interleave(4, -2)
            * SIGMA
            + 0.5
        )
        samples = torch.randn(K, 3, 32, 32, generator=rng) * SIGMA + 0.5
        for cell, found in by_cell.items():
            found.append(image_calibration(samples, y, cell, index=index))
    assert summarize(by_cell[1])['verdict'] == 'ok'
    assert summarize(by_cell[4])['verdict'] == 'under-dispersed'


def test_gaussian_nll_is_that_of_torch_distributions():
    rng = torch.Generator().manual_seed(0)
    mean, y = torch.randn(2, 9, generator=rng)
    var = torch.rand(9, generator=rng) + 0.1
    torch.testing.assert_close(
        gaussian_nll(mean, var, y), -Normal(mean, var.sqrt()).log_prob(y)
    )
    assert gaussian_nll(mean, var * 0, mean).isfinite().all()


def test_ranks_and_ties():
    samples = torch.tensor([1.0, 2.0, 3.0]).view(3, 1)
    for value, rank in (0, 0), (1.5, 1), (2.5, 2), (9, 3):
        assert target_ranks(samples, torch.tensor([float(value)])).item() == rank
    same = torch.zeros(4, 50000)
    ranks = target_ranks(same, torch.zeros(50000), torch.Generator().manual_seed(0))
    shares = torch.bincount(ranks, minlength=5) / 50000
    torch.testing.assert_close(shares, torch.full((5,), 0.2), atol=0.01, rtol=0)


def test_flatness_extremes():
    assert rank_flatness([0.25] * 4) == dict(unevenness=0, outer=1)
    assert rank_flatness([1, 0, 0, 0])['unevenness'] == 1.5
    assert rank_flatness([0, 0.5, 0.5, 0])['outer'] == 0


def test_moments_against_the_truth():
    """The var/K that K samples cannot avoid is taken out of the error of the mean."""
    exact, shifted, wide = [], [], []
    for samples, _, center in sampler(1):
        var = torch.full_like(center, SIGMA**2)
        exact.append(moment_error(samples, center, var))
        shifted.append(moment_error(samples + 0.02, center, var))
    for samples, _, center in sampler(2):
        wide.append(moment_error(samples, center, torch.full_like(center, SIGMA**2)))
    exact, shifted, wide = map(summarize_moments, (exact, shifted, wide))
    assert exact['mean_rmse'] < 0.1 * SIGMA
    assert exact['var_ratio'] == pytest.approx(1, rel=0.01)
    # E(sd^) of K normal values: c4 sd
    c4 = math.sqrt(2 / (K - 1)) * math.gamma(K / 2) / math.gamma((K - 1) / 2)
    assert exact['std_rmse'] == pytest.approx(SIGMA * math.sqrt(2 - 2 * c4), rel=0.01)
    assert shifted['mean_rmse'] == pytest.approx(0.02, rel=0.02)
    assert wide['var_ratio'] == pytest.approx(4, rel=0.01)


def test_heavy_tails_are_no_matter_of_spread():
    """Laplace target and samples: right spread, so ok, whatever the shape."""
    torch.manual_seed(0)
    found = []
    for index in range(30):
        images = Laplace(0.5, 0.03).sample((K + 1, 3, 32, 32))
        found.append(image_calibration(images[1:], images[0], index=index))
    assert summarize(found)['verdict'] == 'ok'


def test_same_everywhere_is_undecided_or_under():
    """A collapsed sampler: no spread, some error."""
    y = torch.rand(4, 3, 8, 8, generator=torch.manual_seed(0))
    still = torch.full((K, 3, 8, 8), 0.5)
    found = summarize(
        [image_calibration(still, one, index=i) for i, one in enumerate(y)]
    )
    assert found['verdict'] == 'under-dispersed'
    assert found['spread_skill'] == 0
    assert found['gain'] == pytest.approx(1)
    perfect = summarize([image_calibration(still, still[0])] * 2)
    assert math.isnan(perfect['spread_skill'])
    assert perfect['verdict'] == 'undecided'


def test_bad_input_is_named():
    samples = torch.rand(K, 3, 8, 8)
    with pytest.raises(ValueError, match='eval_num_samples'):
        image_calibration(samples[:1], samples[0])
    with pytest.raises(ValueError, match=r'\(3, 9, 8\)'):
        image_calibration(samples, torch.rand(3, 9, 8))
    with pytest.raises(ValueError, match='16x16'):
        image_calibration(samples, samples[0], 16)
    with pytest.raises(ValueError, match=r'\[4, 10\]'):
        summarize([image_calibration(samples[:k], samples[0]) for k in (4, 10)])
    with pytest.raises(ValueError, match='no inputs'):
        summarize([])


def test_pool_is_the_mean_of_each_cell():
    image = torch.arange(36.0).view(1, 1, 6, 6)
    assert pool(image, 4).item() == image[..., :4, :4].mean().item()
    assert pool(image, 1) is image
