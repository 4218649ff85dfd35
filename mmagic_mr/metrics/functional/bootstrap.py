"""Intervals over inputs."""

from collections.abc import Callable

import numpy as np


def bootstrap_interval(
    values,
    seed: int = 0,
    resamples: int = 1000,
    level: float = 0.95,
    statistic: Callable | None = None,
) -> tuple[float, float]:
    """Percentile bootstrap over inputs.

    Args:
        values: (N,) or (N, ...) one row per input; pairs of one input are not
            independent, inputs are.
        statistic: (R, N, ...) resampled rows to (R,) values; None: the mean.

    Returns:
        Bounds of the interval; twice nan for fewer than two inputs.

    Example:
        >>> bootstrap_interval([0.3, 0.3, 0.3])
        (0.3, 0.3)
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        return float('nan'), float('nan')
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(values), (resamples, len(values)))
    statistic = statistic or (lambda rows: rows.mean(1))
    # In parts: an input may be a long row.
    parts = np.array_split(rows, 20)
    found = np.concatenate([statistic(values[part]) for part in parts])
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
