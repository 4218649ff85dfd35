"""Nearest styles, and agreement of parts, against counting."""

import itertools

import pytest
import torch

from mmagic_mr.metrics.functional.style import (
    agreement,
    expected_reached,
    nearest_other,
    nearest_style,
)


def test_nearest_by_hand():
    styles = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    which, distance = nearest_style(torch.tensor([[3.0, 0.0], [0.0, 0.75]]), styles)
    assert which.tolist() == [0, 2]
    assert distance.tolist() == pytest.approx([3, 0.25])
    which, distance = nearest_other(styles)
    assert which.tolist() == [2, 2, 0]
    assert distance.tolist() == pytest.approx([1, 18**0.5, 1])


def test_agreement_is_counting():
    left, right = (torch.randint(4, (9,)) for _ in range(2))
    same, chance = agreement(left, right)
    pairs = list(itertools.permutations(range(9), 2))
    assert same == pytest.approx(sum(left[i] == right[i] for i in range(9)) / 9)
    assert chance == pytest.approx(sum(left[i] == right[j] for i, j in pairs) / 72)


def test_parts_that_know_nothing_of_each_other_agree_by_chance():
    """Over all orders of the right parts the excess is 0, whatever the styles."""
    left, right = torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 1, 3])
    excess = [
        same - chance
        for order in itertools.permutations(range(4))
        for same, chance in [agreement(left, right[list(order)])]
    ]
    assert sum(excess) / len(excess) == pytest.approx(0, abs=1e-12)
    assert agreement(torch.ones(5), torch.ones(5)) == (1, 1)
    assert agreement(torch.arange(5), torch.arange(5)) == (1, 0)


def test_styles_reached_are_all_draws_counted():
    counts = [len({*draws}) for draws in itertools.product(range(3), repeat=4)]
    assert expected_reached(4, 3) == pytest.approx(sum(counts) / len(counts))
