"""TARP on Gaussian laws, against the noncentral chi-squared law of the distances."""

import numpy as np
import pytest
import torch
from scipy import stats

from mmagic_mr.metrics.functional.joint_coverage import (
    expected_coverage,
    largest_gap,
    rank_shares,
    tarp_ranks,
)

K, DIM, COUNT = 10, 3, 4000


def drawn(c):
    """Shares of ranks, and what they should be: y, r ~ N(0, I), samples c N(0, I)."""
    rng = torch.Generator().manual_seed(0)
    y = torch.randn(COUNT, DIM, generator=rng)
    r = torch.randn(COUNT, DIM, generator=rng)
    samples = c * torch.randn(COUNT, K, DIM, generator=rng)
    ranks = [tarp_ranks(*one) for one in zip(samples, y, r[:, None], strict=True)]
    # A sample is nearer than y with a probability that y and r fix
    rng = np.random.default_rng(1)
    y, r = rng.standard_normal((2, 20_000, DIM))
    nearer = stats.ncx2.cdf(((y - r) ** 2).sum(1) / c**2, DIM, (r**2).sum(1) / c**2)
    due = stats.binom.pmf(np.arange(K + 1), K, nearer[:, None]).mean(0)
    return rank_shares(torch.cat(ranks), K), due


@pytest.mark.parametrize('c', [0.5, 1, 2])
def test_expected_coverage_of_known_spreads(c):
    shares, due = drawn(c)
    reached, levels = expected_coverage(shares), np.linspace(0, 1, K + 2)
    np.testing.assert_allclose(reached, expected_coverage(due), atol=0.025)
    # Kolmogorov's bound, 99.9%, where the sampler is exact
    gap = largest_gap(shares)
    assert gap == pytest.approx(abs(reached - levels).max())
    assert (gap < 1.95 / np.sqrt(COUNT)) == (c == 1)
    if c == 1:
        np.testing.assert_allclose(due, 1 / (K + 1), atol=0.01)


def test_what_no_pixel_shows_the_whole_does():
    """Each value right, and all of them independent where the truth is one constant."""
    rng = torch.Generator().manual_seed(0)
    shares = {}
    for name, shape in ('exact', (K, 1)), ('independent', (K, 16)):
        ranks = []
        for _ in range(500):
            y = torch.randn(1, generator=rng).expand(16)
            samples = torch.randn(*shape, generator=rng).expand(K, 16)
            reference = torch.randn(1, 1, generator=rng).expand(1, 16)
            ranks.append(tarp_ranks(samples, y, reference, generator=rng))
        shares[name] = rank_shares(torch.cat(ranks), K)
    assert largest_gap(shares['exact']) < 1.95 / np.sqrt(500)
    assert largest_gap(shares['independent']) > 0.2


def test_weights_and_order_of_samples():
    rng = torch.Generator().manual_seed(0)
    samples, y = torch.randn(K, 4, generator=rng), torch.randn(4, generator=rng)
    references = torch.randn(6, 4, generator=rng)
    weight = torch.tensor([1.0, 1.0, 0.0, 0.0])
    found = tarp_ranks(samples, y, references, weight)
    half = tarp_ranks(samples[:, :2], y[:2], references[:, :2])
    assert found.tolist() == half.tolist()
    mixed = samples[torch.randperm(K, generator=rng)]
    assert tarp_ranks(mixed, y, references, weight).tolist() == found.tolist()
    assert found.tolist() != tarp_ranks(samples, y, references).tolist()


def test_ties_are_broken_at_random():
    same = torch.zeros(4, 2)
    rng = torch.Generator().manual_seed(0)
    ranks = tarp_ranks(same, same[0], torch.randn(20_000, 2), generator=rng)
    np.testing.assert_allclose(rank_shares(ranks, 4), 0.2, atol=0.015)
