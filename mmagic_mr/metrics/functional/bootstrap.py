"""Intervals over inputs."""

import warnings
from collections.abc import Callable

import numpy as np

PARTS = 20  # the resamples are made in that many parts: an input may be a long row


def bootstrap_interval(
    values,
    seed: int = 0,
    resamples: int = 1000,
    level: float = 0.95,
    statistic: Callable | None = None,
):
    """Percentile bootstrap over inputs, by SciPy.

    Args:
        values: one row per input; pairs of one input are not independent, inputs are.
        statistic: (R, N, ...) resampled rows to (R, ...) values; None: the mean.

    Returns:
        Bounds of the interval, floats, or arrays where the statistic is one; twice nan
        for fewer than two inputs.

    Shape:
        values (N,) or (N, ...).

    Reference:
        Efron, Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Example:
        >>> bootstrap_interval([0.25, 0.25, 0.25])
        (0.25, 0.25)
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        return float('nan'), float('nan')
    from scipy import stats  # slow to import, and only a test run needs it

    statistic = statistic or (lambda rows: rows.mean(1))

    def of_resamples(rows, axis):  # SciPy has resamples and inputs in the last two axes
        found = statistic(np.moveaxis(rows, (-2, -1), (0, 1)))
        return np.moveaxis(found, 0, -1)

    with warnings.catch_warnings():
        # Said where a statistic is nan; the interval then is nan, too.
        warnings.simplefilter('ignore', stats.DegenerateDataWarning)
        low, high = stats.bootstrap(
            (values,),
            of_resamples,
            vectorized=True,
            axis=0,
            n_resamples=resamples,
            batch=-(-resamples // PARTS),
            confidence_level=level,
            method='percentile',
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return (float(low), float(high)) if np.ndim(low) == 0 else (low, high)
