"""Samples of one input against a set of its real answers: two sets, one distance.

Both are unbiased: 0 on average between two sets of one law, so that single values may
be negative.
"""

import torch
from torch import Tensor

from mmagic_mr.errors import UserError


def energy_distance(samples: Tensor, answers: Tensor) -> float:
    r"""Energy distance of two sets, unbiased.

    .. math:: 2 E|s - a| - E|s - s'| - E|a - a'|

    with distinct s, s' and a, a'. It is twice what the fair energy score of the samples
    exceeds that of an exact sampler by.

    Args:
        samples: K points.
        answers: M points of the true law.

    Shape:
        samples (K, D), answers (M, D), 2 points at least in each.

    Reference:
        Székely and Rizzo, Energy statistics, 2013.

    Example:
        >>> a, b = torch.tensor([[0.], [2.]]), torch.tensor([[4.], [6.]])
        >>> energy_distance(a, b)
        4.0
    """
    across, within, between = _distances(samples, answers)
    return float(2 * across.mean() - _off_diagonal(within) - _off_diagonal(between))


def maximum_mean_discrepancy(
    samples: Tensor, answers: Tensor, bandwidth: float | None = None
) -> float:
    r"""Squared MMD of two sets with a Gaussian kernel, unbiased.

    .. math:: E k(s, s') + E k(a, a') - 2 E k(s, a), \quad
              k(u, v) = e^{-|u - v|^2 / (2 h^2)}

    Args:
        samples: K points.
        answers: M points of the true law.
        bandwidth: h; None: the median distance between two answers, which does not
            depend on the samples.

    Shape:
        samples (K, D), answers (M, D), 2 points at least in each.

    Reference:
        Gretton et al., A kernel two-sample test, JMLR 2012, equation 3.

    Example:
        >>> a = torch.tensor([[0.], [0.]])
        >>> round(maximum_mean_discrepancy(a, a + 9, bandwidth=1.), 4)
        2.0
    """
    across, within, between = _distances(samples, answers)
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

    return float(
        _off_diagonal(kernel(within))
        + _off_diagonal(kernel(between))
        - 2 * kernel(across).mean()
    )


def _distances(samples, answers):
    """Samples to answers, samples to each other, answers to each other."""
    if samples.ndim != 2 or answers.ndim != 2 or min(len(samples), len(answers)) < 2:
        raise UserError(
            f'points of shape {tuple(samples.shape)} and {tuple(answers.shape)}: '
            '(K, D) and (M, D), 2 at least of each, are needed'
        )
    samples, answers = samples.double(), answers.double()
    # The exact form: the fast one is off where a distance is 0
    exact = 'donot_use_mm_for_euclid_dist'
    return [
        torch.cdist(a, b, compute_mode=exact)
        for a, b in ((samples, answers), (samples, samples), (answers, answers))
    ]


def _off_diagonal(square):
    """Mean of all but the diagonal."""
    count = len(square)
    return (square.sum() - square.trace()) / (count * (count - 1))
