"""Which inputs, samples and pairs, by hand."""

import numpy as np
import pytest

from mmagic_mr.metrics.functional.protocols import (
    PROTOCOLS,
    check_num_samples,
    choose_inputs,
    choose_pairs,
    real_ring,
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
