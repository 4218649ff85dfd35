"""Intervals and PIT of samplers with a known spread, against SciPy's integrals."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from mmagic_mr.errors import UserError
from mmagic_mr.metrics.functional.calibration import rank_flatness, target_ranks
from mmagic_mr.metrics.functional.coverage import (
    central_interval,
    central_intervals,
    coverage,
    pit_histogram,
)

K, COUNT = 20, 200_000


def rank_law(c):
    """P(rank = r) of y ~ N(0, 1) among K of N(0, c^2)."""

    def density(y, rank):
        return stats.norm.pdf(y) * stats.binom.pmf(rank, K, stats.norm.cdf(y / c))

    return np.array(
        [integrate.quad(density, -9, 9, (rank,))[0] for rank in range(K + 1)]
    )


def drawn_shares(c):
    rng = torch.Generator().manual_seed(0)
    samples = c * torch.randn(K, COUNT, generator=rng)
    ranks = target_ranks(samples, torch.randn(COUNT, generator=rng), rng)
    return np.bincount(ranks.numpy(), minlength=K + 1) / COUNT


@pytest.mark.parametrize('c', [0.5, 1, 2])
def test_coverage_and_pit_of_known_spreads(c):
    shares, law = drawn_shares(c), rank_law(c)
    for level in 0.5, 0.9:
        cut, nominal = central_interval(K, level)
        # Order statistics s_(cut) < y < s_(K+1-cut), by their joint law with y
        expected = law[cut : K + 1 - cut].sum()
        assert coverage(shares, cut) == pytest.approx(expected, abs=0.005)
        if c == 1:
            assert expected == pytest.approx(nominal, abs=1e-6)
        else:
            assert abs(expected - nominal) > 0.05
            assert (expected > nominal) == (c > 1)
    due = np.repeat(law / 10, 10).reshape(10, -1).sum(1)
    np.testing.assert_allclose(pit_histogram(shares), due, atol=0.003)
    flat = rank_flatness(pit_histogram(shares))['unevenness']
    assert (flat < 0.02) == (c == 1)


def test_range_of_the_samples():
    for k in 2, 3, 10, 21:
        widest = central_intervals(k)[-1]
        assert widest == (1, (k - 1) / (k + 1))
        assert central_interval(k, 0.999) == widest
        shares = np.full(k + 1, 1 / (k + 1))
        for cut, nominal in central_intervals(k):
            assert coverage(shares, cut) == pytest.approx(nominal)
    with pytest.raises(UserError, match=r'got 1.*eval_num_samples'):
        central_interval(1, 0.5)
    with pytest.raises(UserError, match='level=1'):
        central_interval(9, 1)


def test_pit_keeps_what_a_histogram_is():
    rows = np.random.default_rng(0).dirichlet(np.ones(8), 5)
    found = pit_histogram(rows, 5)
    assert found.shape == (5, 5)
    np.testing.assert_allclose(found.sum(1), 1)
    np.testing.assert_allclose(pit_histogram(rows, 8), rows)
    np.testing.assert_allclose(pit_histogram(rows, 4), rows.reshape(5, 4, 2).sum(2))
    np.testing.assert_allclose(
        pit_histogram(rows)[:, ::-1], pit_histogram(rows[:, ::-1])
    )
