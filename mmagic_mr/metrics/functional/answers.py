"""Samples of one input against a set of its real answers: two sets, one distance.

Both are unbiased: 0 on average between two sets of one law, so that single values may
be negative. Where the answers are `complete`, all that there are and equally likely,
they are no draws but the law itself: a pair of answers may be one answer twice.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from mmagic_mr.errors import UserError


class Distances(NamedTuple):
    """Distances between the points of two sets, of `set_distances`.

    Shape:
        samples to answers (K, M), to each other (K, K), answers to each other (M, M).
    """

    across: Tensor
    within: Tensor
    between: Tensor


def set_distances(
    samples: Tensor, answers: Tensor, between: Tensor | None = None
) -> Distances:
    """All distances, in double precision, for one or several of the functions below.

    Args:
        samples: K points.
        answers: M points.
        between: distances of the answers to each other, where they are known.

    Shape:
        samples (K, D), answers (M, D), 2 points at least in each.
    """
    if samples.ndim != 2 or answers.ndim != 2 or min(len(samples), len(answers)) < 2:
        raise UserError(
            f'points of shape {tuple(samples.shape)} and {tuple(answers.shape)}: '
            '(K, D) and (M, D), 2 at least of each, are needed'
        )
    # Around their middle, where products of large vectors lose less
    middle = answers.double().mean(0)
    samples, answers = samples.double() - middle, answers.double() - middle
    if between is None:
        between = _to_each_other(answers)
    return Distances(_products(samples, answers), _to_each_other(samples), between)


def _products(a, b):
    return torch.cdist(a, b, compute_mode='use_mm_for_euclid_dist')


def _to_each_other(points):
    return _products(points, points).fill_diagonal_(0)


def energy_distance(samples: Tensor, answers: Tensor, complete: bool = False) -> float:
    r"""Energy distance of two sets, unbiased.

    .. math:: 2 E|s - a| - E|s - s'| - E|a - a'|

    with distinct s, s' and a, a'. It is twice what the fair energy score of the samples
    exceeds that of an exact sampler by.

    Args:
        samples: K points.
        answers: M points of the true law.
        complete: they are the law, each of them as likely as the others.

    Shape:
        samples (K, D), answers (M, D), 2 points at least in each.

    Reference:
        Székely and Rizzo, Energy statistics, 2013.

    Example:
        >>> a, b = torch.tensor([[0.], [2.]]), torch.tensor([[4.], [6.]])
        >>> energy_distance(a, b)
        4.0
    """
    return energy_of(set_distances(samples, answers), complete)


def energy_of(distances: Distances, complete: bool = False) -> float:
    """`energy_distance` from the distances."""
    across, within, between = distances
    of_answers = between.mean() if complete else _off_diagonal(between)
    return float(2 * across.mean() - _off_diagonal(within) - of_answers)


def maximum_mean_discrepancy(
    samples: Tensor,
    answers: Tensor,
    bandwidth: float | None = None,
    complete: bool = False,
) -> float:
    r"""Squared MMD of two sets with a Gaussian kernel, unbiased.

    .. math:: E k(s, s') + E k(a, a') - 2 E k(s, a), \quad
              k(u, v) = e^{-|u - v|^2 / (2 h^2)}

    Args:
        samples: K points.
        answers: M points of the true law.
        bandwidth: h; None: the median distance between two answers, which does not
            depend on the samples.
        complete: as for `energy_distance`.

    Shape:
        samples (K, D), answers (M, D), 2 points at least in each.

    Reference:
        Gretton et al., A kernel two-sample test, JMLR 2012, equation 3.

    Example:
        >>> a = torch.tensor([[0.], [0.]])
        >>> round(maximum_mean_discrepancy(a, a + 9, bandwidth=1.), 4)
        2.0
    """
    return mmd_of(set_distances(samples, answers), bandwidth, complete)


def mmd_of(
    distances: Distances, bandwidth: float | None = None, complete: bool = False
) -> float:
    """`maximum_mean_discrepancy` from the distances."""
    across, within, between = distances
    if bandwidth is None:
        pairs = torch.triu_indices(*between.shape, offset=1)
        bandwidth = float(between[pairs[0], pairs[1]].median())
    if bandwidth <= 0:
        raise UserError(
            f'bandwidth {bandwidth:g}: the kernel needs one above 0; more than half '
            'of the answers are one picture, then give the bandwidth'
        )

    def kernel(distance):
        return (-0.5 * (distance / bandwidth) ** 2).exp()

    same = kernel(between)
    of_answers = same.mean() if complete else _off_diagonal(same)
    return float(_off_diagonal(kernel(within)) + of_answers - 2 * kernel(across).mean())


def _off_diagonal(square):
    """Mean of all but the diagonal."""
    count = len(square)
    return (square.sum() - square.trace()) / (count * (count - 1))
