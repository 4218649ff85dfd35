"""Diversity of samplers whose answer is known."""

import pytest
import torch
from helpers.metrics import needs_trunk

from mmagic_mr.metrics.functional.diversity import sample_diversity
from mmagic_mr.metrics.functional.protocols import PROTOCOLS, choose_pairs
from mmagic_mr.metrics.networks.perceptual import (
    PerceptualDistance,
    PixelDistance,
    known_images,
)


@pytest.mark.parametrize(
    'distance', [PixelDistance(), PerceptualDistance(backbone='random', chunk=3)]
)
@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_constant_sampler_is_exactly_zero(distance, protocol):
    image = torch.rand(1, 3, 32, 32, generator=torch.manual_seed(0))
    samples = image.repeat(38, 1, 1, 1)
    assert sample_diversity(samples, distance, protocol) == 0


def test_known_sampler_has_the_hand_computed_mean():
    """Sample k is white in its own 1 of 20 columns: any two differ in 2 of 20."""
    samples = torch.eye(20).view(20, 1, 1, 20).expand(20, 3, 5, 20)
    for protocol in 'lee2019', 'zhu2017', 'all-pairs':
        assert sample_diversity(samples, PixelDistance(), protocol) == pytest.approx(
            0.1, abs=1e-6
        )


def test_lee2019_is_the_mean_over_its_ten_pairs():
    gray = torch.linspace(0, 1, 20)
    samples = gray.view(20, 1, 1, 1).expand(20, 3, 4, 4)
    pairs = choose_pairs('lee2019', 20, 3, 4).tolist()
    by_hand = sum(abs(gray[i] - gray[j]).item() for i, j in pairs) / 10
    assert sample_diversity(samples, PixelDistance(), 'lee2019', 3, 4) == pytest.approx(
        by_hand, abs=1e-6
    )


@needs_trunk
def test_alternating_sampler_gives_the_known_lpips():
    a, b = known_images()
    samples = torch.cat([a, b]).repeat(10, 1, 1, 1)
    distance = PerceptualDistance()
    found = sample_diversity(samples, distance, 'zhu2017')
    assert found == pytest.approx(0.4416, abs=1e-3)
    # 10 of each: 100 of all 190 pairs are unlike.
    found = sample_diversity(samples, distance, 'all-pairs')
    assert found == pytest.approx(0.4416 * 100 / 190, abs=1e-3)


def test_hole_only_counts_the_hole():
    """Two images that differ by 1 in the hole and by nothing elsewhere."""
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:4, 3:5] = 1
    samples = torch.cat([torch.zeros(1, 3, 8, 8), mask.expand(1, 3, 8, 8)])
    whole = sample_diversity(samples, PixelDistance(), 'all-pairs')
    hole = sample_diversity(samples, PixelDistance(), 'all-pairs', mask=mask)
    assert whole == pytest.approx(4 / 64)
    assert hole == pytest.approx(1)
    with pytest.raises(ValueError, match='empty'):
        sample_diversity(samples, PixelDistance(), 'all-pairs', mask=mask * 0)
