"""Protocols and pairs by hand, diversity on samplers whose answer is known."""

import numpy as np
import pytest
import torch

from mmagic_mr.metrics.functional.bootstrap import bootstrap_interval
from mmagic_mr.metrics.functional.diversity import sample_diversity
from mmagic_mr.metrics.functional.protocols import (
    PROTOCOLS,
    check_num_samples,
    choose_inputs,
    choose_pairs,
    real_ring,
)
from mmagic_mr.metrics.networks import backbone
from mmagic_mr.metrics.networks.perceptual import (
    PerceptualDistance,
    PixelDistance,
    known_images,
)

needs_trunk = pytest.mark.skipif(
    not backbone.backbone_path().is_file(),
    reason=f'no LPIPS trunk here; get it with: {backbone.FETCH}',
)


@pytest.mark.parametrize(
    ('protocol', 'inputs', 'samples', 'pairs'),
    [
        ('lee2019', 300, 20, 10),
        ('zhu2017', 100, 20, 19),
        ('huang2018', 100, 38, 19),
        ('all-pairs', None, 20, 190),
    ],
)
def test_protocol_sizes(protocol, inputs, samples, pairs):
    chosen = choose_pairs(protocol, 40 if PROTOCOLS[protocol].samples else 20, 0, 0)
    assert PROTOCOLS[protocol].inputs == inputs
    assert chosen.shape == (pairs, 2)
    assert chosen.max() < samples
    assert (chosen[:, 0] != chosen[:, 1]).all()
    assert len({frozenset(p) for p in chosen.tolist()}) == pairs


def test_pairs_of_each_protocol():
    assert choose_pairs('zhu2017', 20, 5, 9).tolist() == [[i, i + 1] for i in range(19)]
    assert sorted(choose_pairs('huang2018', 38, 0, 0).flatten().tolist()) == list(
        range(38)
    )
    assert choose_pairs('all-pairs', 3, 0, 0).tolist() == [[0, 1], [0, 2], [1, 2]]


def test_random_pairs_repeat_and_differ_between_inputs_and_seeds():
    first = choose_pairs('lee2019', 20, 1, 2)
    assert np.array_equal(first, choose_pairs('lee2019', 20, 1, 2))
    assert not np.array_equal(first, choose_pairs('lee2019', 20, 1, 3))
    assert not np.array_equal(first, choose_pairs('lee2019', 20, 2, 2))
    seen = set()
    for index in range(300):
        pairs = {frozenset(p) for p in choose_pairs('lee2019', 20, 0, index).tolist()}
        assert len(pairs) == 10  # distinct ones
        seen |= pairs
    assert len(seen) == 190  # every pair has its turn


@pytest.mark.parametrize(
    ('protocol', 'available', 'needed'),
    [('lee2019', 10, 20), ('huang2018', 20, 38), ('all-pairs', 1, 2)],
)
def test_too_few_samples_name_the_option(protocol, available, needed):
    with pytest.raises(ValueError, match=rf'model\.eval_num_samples={needed}$'):
        check_num_samples(protocol, available)


def test_unknown_protocol_lists_the_known_ones():
    with pytest.raises(ValueError, match='lee2019, zhu2017'):
        choose_pairs('lee2020', 20, 0, 0)


def test_inputs_are_spread_over_the_dataset():
    chosen = choose_inputs(500, 300)
    assert len(set(chosen)) == 300
    assert chosen[0] == 0
    assert chosen[-1] == 498
    assert choose_inputs(5, None) == [0, 1, 2, 3, 4]


def test_ring_pairs_every_real_image_twice():
    ring = real_ring(7, 0)
    assert sorted(ring.flatten().tolist()) == sorted(list(range(7)) * 2)
    assert len({frozenset(p) for p in ring.tolist()}) == 7
    assert real_ring(2, 0).shape == (1, 2)
    assert real_ring(1, 0).shape == (0, 2)


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
    grey = torch.linspace(0, 1, 20)
    samples = grey.view(20, 1, 1, 1).expand(20, 3, 4, 4)
    pairs = choose_pairs('lee2019', 20, 3, 4).tolist()
    by_hand = sum(abs(grey[i] - grey[j]).item() for i, j in pairs) / 10
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


def test_bootstrap_covers_at_its_level():
    """Means of 40 normal values: the interval holds the truth about 95% of the time."""
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        low, high = bootstrap_interval(rng.normal(1, 2, 40), seed=trial, resamples=400)
        hits += low < 1 < high
    assert 0.89 < hits / 200 < 0.985
    assert bootstrap_interval([1, 5], seed=3) == bootstrap_interval([1, 5], seed=3)
    assert all(np.isnan(bootstrap_interval([1.0])))
