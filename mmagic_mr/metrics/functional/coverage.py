"""Does the target fall where the samples say? Intervals from order statistics.

All of it follows from the rank of the target among the K samples, see
`mmagic_mr.metrics.functional.calibration.target_ranks`.
"""

from typing import NamedTuple

import numpy as np

from mmagic_mr.errors import UserError


class Interval(NamedTuple):
    """Central interval between two order statistics, and what it covers by right.

    Attributes:
        cut: it reaches from the cut-th smallest of the samples to the cut-th largest.
        nominal: the share of targets that falls inside, of an exact sampler.
    """

    cut: int
    nominal: float


def central_interval(num_samples: int, level: float) -> Interval:
    r"""The interval of K samples whose nominal coverage is nearest to a level.

    .. math:: P(s_{(j)} < y < s_{(K+1-j)}) = \frac{K + 1 - 2j}{K + 1}

    so that the range of all K covers (K-1)/(K+1) at most.

    Args:
        num_samples: K, 2 or more.
        level: that is wanted, between 0 and 1.

    Example:
        >>> central_interval(20, 0.9), central_interval(20, 0.5)[0]
        (Interval(cut=1, nominal=0.9047619047619048), 5)
    """
    if num_samples < 2:
        raise UserError(
            f'an interval needs 2 samples per input at least, got {num_samples}: add '
            '--cfg-options model.eval_num_samples=20'
        )
    if not 0 < level < 1:
        raise UserError(f'level={level!r}: a number between 0 and 1 is needed')
    return min(central_intervals(num_samples), key=lambda one: abs(one.nominal - level))


def central_intervals(num_samples: int) -> list[Interval]:
    """All that K samples have, the narrowest first.

    Example:
        >>> [one.nominal for one in central_intervals(4)]
        [0.2, 0.6]
    """
    due = num_samples + 1
    return [
        Interval(cut, (due - 2 * cut) / due) for cut in range(num_samples // 2, 0, -1)
    ]


def coverage(shares, cut: int) -> np.ndarray:
    """Share of the targets inside a central interval.

    Args:
        shares: share of each of the K + 1 ranks.
        cut: see `Interval`.

    Shape:
        shares (..., K + 1); result (...).

    Example:
        >>> coverage([0.5, 0, 0, 0.5], 1).item(), coverage([0.25] * 4, 1).item()
        (0.0, 0.5)
    """
    shares = np.asarray(shares)
    return shares[..., cut : shares.shape[-1] - cut].sum(-1)


def pit_histogram(shares, bins: int = 10) -> np.ndarray:
    r"""Probability integral transform of the target, in bins of equal width.

    Rank r of K + 1 stands for the transform being anywhere in
    [r/(K+1), (r+1)/(K+1)] alike, so that runs of any K have one histogram: flat for an
    exact sampler, high at both ends where the spread is too small, in the middle where
    it is too large, and sloped where the mean is off.

    Args:
        shares: share of each of the K + 1 ranks.
        bins: of the histogram.

    Shape:
        shares (..., K + 1); result (..., bins), which sums to 1 as the shares do.

    Reference:
        Czado, Gneiting and Held, Predictive model assessment for count data,
        Biometrics 2009 (the nonrandomized form).

    Example:
        >>> pit_histogram([0.5, 0.25, 0.25], 2).tolist()
        [0.625, 0.375]
    """
    shares = np.asarray(shares, dtype=float)
    ends = np.concatenate(
        [np.zeros((*shares.shape[:-1], 1)), shares.cumsum(-1)], axis=-1
    )
    # The distribution function is linear between the ends of the ranks
    place = np.linspace(0, shares.shape[-1], bins + 1)
    low = np.minimum(place.astype(int), shares.shape[-1] - 1)
    part = place - low
    reached = ends[..., low] * (1 - part) + ends[..., low + 1] * part
    # Rounding leaves an empty bin a little below 0
    return np.diff(reached, axis=-1).clip(min=0)
