"""Fidelity on features with a known answer."""

import math

import numpy as np
import pytest
import torch

from mmagic_mr.metrics.functional.fidelity import (
    density_coverage,
    frechet_distance,
    kernel_distance,
    precision_recall,
)


def features(count, dim=4, mean=0.0, std=1.0, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return mean + std * torch.randn(count, dim, generator=rng, dtype=torch.float64)


def test_frechet_distance_of_normal_distributions():
    """Diagonal covariances: |m|^2 + sum (s1 - s2)^2, here with the exact moments."""
    raw = features(500)
    raw -= raw.mean(0)
    white = raw @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(raw.T))).T
    found = frechet_distance(white, 3 * white + torch.tensor([1.0, 2, 0, 0]))
    assert found == pytest.approx(5 + 4 * 4, rel=1e-6)
    assert frechet_distance(raw, raw) == pytest.approx(0, abs=1e-6)


def test_kernel_distance_by_hand():
    """Unbiased MMD^2 with (x.y/D + 1)^3, written out."""
    real, fake = features(12), features(12, mean=1, seed=1)

    def kernel(a, b):
        return (a @ b.T / 4 + 1) ** 3

    def off_diagonal(k):
        return (k.sum() - k.diagonal().sum()) / (12 * 11)

    expected = (
        off_diagonal(kernel(real, real))
        + off_diagonal(kernel(fake, fake))
        - 2 * kernel(real, fake).mean()
    )
    mean, std = kernel_distance(real, fake)
    assert mean == pytest.approx(expected.item())
    assert std == 0
    assert kernel_distance(real, fake, subset_size=8, subsets=5)[1] > 0


def _reference(real, fake, k):
    """Precision, recall, density, coverage from their definitions, with loops."""
    real, fake = real.numpy(), fake.numpy()

    def radius(points, i):
        return sorted(np.linalg.norm(points[i] - p) for p in points)[k]

    def inside(centers, radii, p):
        return [np.linalg.norm(c - p) <= r for c, r in zip(centers, radii, strict=True)]

    real_radii = [radius(real, i) for i in range(len(real))]
    fake_radii = [radius(fake, i) for i in range(len(fake))]
    in_real = np.array([inside(real, real_radii, f) for f in fake])
    in_fake = np.array([inside(fake, fake_radii, r) for r in real])
    return (
        in_real.any(1).mean(),
        in_fake.any(1).mean(),
        in_real.sum() / (k * len(fake)),
        in_real.any(0).mean(),
    )


@pytest.mark.parametrize(('mean', 'std'), [(0, 1), (0.7, 0.5), (0, 2)])
def test_neighbor_metrics_from_their_definitions(mean, std):
    real, fake = features(40), features(30, mean=mean, std=std, seed=1)
    precision, recall, density, coverage = _reference(real, fake, 3)
    assert precision_recall(real, fake, 3) == pytest.approx((precision, recall))
    assert density_coverage(real, fake, 3) == pytest.approx((density, coverage))
    assert 0 < coverage < 1 or std == 2


def test_density_coverage_of_the_same_distribution():
    """Expected: density 1, and coverage close to 1 - 2^-k."""
    found = [
        density_coverage(features(300, seed=2 * s), features(300, seed=2 * s + 1), 5)
        for s in range(4)
    ]
    density, coverage = np.mean(found, 0)
    assert density == pytest.approx(1, abs=0.06)
    assert coverage == pytest.approx(1 - 2**-5, abs=0.015)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match='3 fake'):
        density_coverage(features(10), features(3), 5)
    with pytest.raises(ValueError, match='finite'):
        frechet_distance(features(4), features(4) * math.nan)
    with pytest.raises(ValueError, match=r'\(4, 2\)'):
        frechet_distance(features(4), features(4, dim=2))
