"""Distances between two sets against closed forms, SciPy, and the energy score."""

import math

import pytest
import torch
from scipy import stats

from mmagic_mr.errors import UserError
from mmagic_mr.functional import energy_score
from mmagic_mr.metrics.functional.answers import (
    energy_distance,
    maximum_mean_discrepancy,
)
from mmagic_mr.metrics.functional.bootstrap import bootstrap_interval


def noise(*shape, seed=0):
    return torch.randn(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double
    )


def mean_abs(mean, std):
    """Of a normal variable."""
    z = mean / std
    return std * math.sqrt(2 / math.pi) * math.exp(-z * z / 2) + mean * math.erf(
        z / math.sqrt(2)
    )


@pytest.mark.parametrize(('shift', 'c'), [(0, 1), (1, 1), (0, 2), (0, 0.5)])
def test_gaussians_in_one_dimension(shift, c):
    a, b = c * noise(3000, 1) + shift, noise(3000, 1, seed=1)
    energy = (
        2 * mean_abs(shift, math.sqrt(1 + c * c))
        - mean_abs(0, c * math.sqrt(2))
        - mean_abs(0, math.sqrt(2))
    )
    assert energy_distance(a, b) == pytest.approx(energy, abs=0.03)

    def kernel(mean, var):  # of two normal variables' difference, bandwidth 1
        return math.exp(-(mean**2) / (2 * (1 + var))) / math.sqrt(1 + var)

    mmd = kernel(0, 2 * c * c) + kernel(0, 2) - 2 * kernel(shift, 1 + c * c)
    found = maximum_mean_discrepancy(a, b, bandwidth=1)
    assert found == pytest.approx(mmd, abs=0.01)


def test_energy_distance_of_scipy():
    """Its square has the pairs of a point with itself: (n-1)/n of each set's mean."""
    a, b = noise(7, 1), noise(5, 1, seed=1) + 0.3
    theirs = stats.energy_distance(a.flatten(), b.flatten()) ** 2
    within = [torch.cdist(v, v).sum().item() / len(v) for v in (a, b)]
    ours = theirs + sum(
        total / len(v) - total / (len(v) - 1)
        for total, v in zip(within, (a, b), strict=True)
    )
    assert energy_distance(a, b) == pytest.approx(ours)


def test_it_is_twice_what_the_energy_score_is_above_its_least():
    a, b = noise(6, 4), noise(9, 4, seed=1)
    samples = a.view(1, 6, 4, 1, 1).expand(9, -1, -1, -1, -1)
    score = energy_score(samples, b.view(9, 4, 1, 1)).mean().item()
    least = torch.pdist(b).mean().item() / 2
    assert energy_distance(a, b) == pytest.approx(2 * (score - least))


@pytest.mark.parametrize('distance', [energy_distance, maximum_mean_discrepancy])
def test_equal_laws_score_0_within_the_interval(distance):
    values = [
        distance(noise(8, 5, seed=2 * i), noise(12, 5, seed=2 * i + 1))
        for i in range(200)
    ]
    low, high = bootstrap_interval(values)
    assert low < 0 < high
    assert high - low < 0.1
    assert distance(noise(8, 5), noise(12, 5) + 9) > 1


def test_bandwidth_is_the_median_of_the_answers():
    answers = torch.tensor([[0.0], [1.0], [3.0]])
    found = maximum_mean_discrepancy(noise(4, 1), answers)
    assert found == maximum_mean_discrepancy(noise(4, 1), answers, bandwidth=2)


def test_sets_that_are_none_are_refused():
    for distance in energy_distance, maximum_mean_discrepancy:
        with pytest.raises(UserError, match=r'2 at least of each'):
            distance(noise(1, 3), noise(4, 3))
    with pytest.raises(UserError, match='bandwidth 0'):
        maximum_mean_discrepancy(noise(4, 3), torch.ones(4, 3))


@pytest.mark.parametrize('distance', [energy_distance, maximum_mean_discrepancy])
def test_draws_of_complete_answers_score_exactly_0_on_average(distance):
    """Over all draws of two or three; not if the answers were draws themselves."""
    law = noise(5, 3)
    for count in 2, 3:
        draws = torch.cartesian_prod(*[torch.arange(5)] * count)
        scores = [distance(law[draw], law, complete=True) for draw in draws]
        assert sum(scores) / len(scores) == pytest.approx(0, abs=1e-8)
        wrong = [distance(law[draw], law) for draw in draws]
        assert abs(sum(wrong) / len(wrong)) > 0.05


def test_complete_answers_by_hand():
    """The mean of 0 and 2, twice: 2 x 1 - 0 - (0 + 2 + 2 + 0) / 4."""
    law, mean = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [1.0]])
    assert energy_distance(mean, law, complete=True) == pytest.approx(1)
    assert energy_distance(mean, law) == pytest.approx(0)
    kernel = math.exp(-1 / 8), math.exp(-1 / 2)  # distance 1 and 2, bandwidth 2
    found = maximum_mean_discrepancy(mean, law, complete=True)
    assert found == pytest.approx(1 + (1 + kernel[1]) / 2 - 2 * kernel[0])
