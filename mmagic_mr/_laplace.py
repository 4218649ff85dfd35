"""What the median and the mean absolute deviation of K Laplace samples do."""

from functools import lru_cache
from math import comb, prod
from typing import NamedTuple


class LaplaceConstants(NamedTuple):
    """Finite-K constants of K samples of a Laplace distribution of scale 1.

    M is their mid-point median, B their mean absolute deviation from it.
    """

    mad: float  # E[B]
    center_penalty: float  # E[M^2] / E[B^2] * E[B]^2
    dispersion_penalty: float  # Var[B] / E[B^2]
    pull: float  # d/ds E|Y - sM| at s = 1 (Y a Laplace variable of scale 1)
    residual: float  # makes s = 1 the minimum of E[residual |Y - sM|/(sB)] + log s


@lru_cache(maxsize=None)
def laplace_constants(num_samples: int) -> LaplaceConstants:
    """Compute the constants exactly, but for one integral over a smooth function.

    Given the number J of positive samples, the sorted samples are sums of independent
    exponential variables (Renyi), and so are M and B. By symmetry J >= K/2, where M is
    a sum as well, or, for J = K/2, has the absolute value of one: half the difference
    of two exponential variables of mean 1/J.
    """
    K, half = num_samples, num_samples // 2
    median = median_sq = mad = mad_sq = damped = integral = 0.0
    for J in range(K - half, K + 1):
        weight = comb(K, J) / 2.0 ** (K if 2 * J == K else K - 1)
        below = K - J
        # Coefficients of M and B in the exponential variables. Those of the negative
        # samples add to B alone.
        m, b = [0.0] * below, [1 / K] * below
        for rank in range(1, J + 1):
            left = J - rank + 1
            if K % 2 == 0:
                middle = (rank <= half - below) + (rank <= half + 1 - below)
            else:
                middle = 2 * (rank <= half + 1 - below)
            m.append(middle / 2 / left)
            upper, lower = min(half, left), max(0, half - below - rank + 1)
            b.append((upper - lower) / left / K)
        median += weight * sum(m)
        median_sq += weight * (sum(m) ** 2 + sum(c * c for c in m))
        mad += weight * sum(b)
        mad_sq += weight * (sum(b) ** 2 + sum(c * c for c in b))
        damped += weight * _damped(m, b, 0.0, 0.0)
        if K > 2:  # E[1/B] is infinite for two samples
            integral += weight * _integral(lambda t: _damped(m, b, 1.0, t))
    return LaplaceConstants(
        mad=mad,
        center_penalty=median_sq / mad_sq * mad**2 if mad_sq else float('nan'),
        dispersion_penalty=1 - mad**2 / mad_sq if mad_sq else float('nan'),
        pull=median - damped,
        residual=1 / (mad * integral) if K > 2 else float('nan'),
    )


def _damped(m, b, one, t):
    """E[(one + M) exp(-M - tB)] for M and B with these coefficients."""
    rates = [1 + mi + t * bi for mi, bi in zip(m, b)]
    return (one + sum(mi / rate for mi, rate in zip(m, rates))) / prod(rates)


def _integral(function, intervals=200):
    """Simpson's rule over (0, infinity), with t = u / (1 - u)."""
    total = function(0.0)
    for i in range(1, intervals):
        u = i / intervals
        total += (4 if i % 2 else 2) * function(u / (1 - u)) / (1 - u) ** 2
    return total / 3 / intervals
