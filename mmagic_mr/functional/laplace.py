"""What the median and the mean absolute deviation of K Laplace samples do."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from math import comb, nan, prod
from typing import NamedTuple

Vector = Sequence[float]
Case = tuple[float, Vector, Vector, Vector]


class Constant(NamedTuple):
    """A factor for the value of a term, and the one for its gradient.

    They differ because the gradient of the median is that of the mean (appendix A of
    the paper): scaling the samples moves the median by another amount than autograd
    sees.
    """

    value: float
    grad: float


class LaplaceConstants(NamedTuple):
    """Finite-K constants, for K samples X of a Laplace distribution of scale 1.

    M is their mid-point median, b their mean absolute deviation from M divided by
    `mad`, its expectation; Y is one more Laplace variable of scale 1.
    """

    mad: float
    center_penalty: Constant  # E[M^2] / E[b^2]
    dispersion_penalty: float  # Var[b] / E[b^2]
    pull: Constant  # d/ds E|Y - sM| at s = 1
    residual: Constant  # r for which E[r |Y - sM| / (sb)] + log s is least at s = 1


@cache
def laplace_constants(num_samples: int) -> LaplaceConstants:
    """Compute the constants to 1e-7; `residual` is NaN for less than 4 samples."""
    if num_samples < 2:
        raise ValueError(f'One sample has no dispersion, got K = {num_samples}.')
    mad = mad_sq = center = center_grad = pull = pull_grad = 0.0
    residual = residual_grad = 0.0 if num_samples >= 4 else nan
    for weight, m, b, x in _cases(num_samples):
        mad += weight * sum(b)
        mad_sq += weight * _product(b, b)
        center += weight * _product(m, m)
        center_grad += weight * _product(m, x)
        pull += weight * (sum(m) - _damped(0, m, m))
        pull_grad += weight * (sum(x) - _damped(0, x, m))
        if num_samples >= 4:  # the variance of 1/b is infinite for fewer
            residual += weight * _residual(m, b)
            residual_grad += weight * _residual_grad(m, b, x)
    unit = mad**2 / mad_sq  # 1 / E[b^2]
    return LaplaceConstants(
        mad=mad,
        center_penalty=Constant(center * unit, center_grad * unit),
        dispersion_penalty=1 - unit,
        pull=Constant(pull, pull_grad),
        residual=Constant(1 / (mad * residual), 1 / (mad * residual_grad)),
    )


def _cases(K: int) -> Iterator[Case]:
    """Write |M|, B and sign(M) mean(X) as sums of exponential variables E of mean 1.

    Given the number J of positive samples, the gaps between the sorted positive ones
    are independent and exponential (Renyi), and so are those of the negative ones. For
    J = K/2, M is half the difference of two such variables: their difference without
    its sign and the rest of their sum are exponential again and stand in for the two.
    By symmetry J >= K/2.

    Yields:
        The probability of the case, and the coefficients of the three.
    """
    half = K // 2
    for J in range(K - half, K + 1):
        negative = K - J
        weight = comb(K, J) * (1 if negative == J else 2) / 2**K
        m, b, x = [0.0] * negative, [1 / K] * negative, [-1 / K] * negative
        if negative == J:
            x[0] = 0.0
        for rank in range(1, J + 1):
            above = J - rank + 1  # samples that this gap moves
            lower_middle = rank <= (K + 1) // 2 - negative
            upper_middle = rank <= half + 1 - negative
            in_lower_half = max(0, half - negative - rank + 1)
            m.append((lower_middle + upper_middle) / 2 / above)
            b.append((min(half, above) - in_lower_half) / K / above)
            x.append(1 / K)
        yield weight, m, b, x


def _residual(m: Vector, b: Vector) -> float:
    """Integrate E[(1 + |M|) exp(-|M| - tB)], as 1/B is the integral of exp(-tB)."""
    return _integral(lambda t: _damped(1, m, m, b, t))


def _residual_grad(m: Vector, b: Vector, x: Vector) -> float:
    rest = [mi - xi for mi, xi in zip(m, x, strict=True)]
    never = [0.0] * len(m)
    return _integral(
        lambda t: _damped(0, rest, never, b, t) + _damped(1, x, m, b, t),
    )


def _product(a: Vector, b: Vector) -> float:
    """E[(a . E)(b . E)]."""
    return sum(a) * sum(b) + sum(ai * bi for ai, bi in zip(a, b, strict=True))


def _damped(
    one: float, c: Vector, m: Vector, b: Vector | None = None, t: float = 0.0
) -> float:
    """E[(one + c . E) exp(-m . E - t b . E)]."""
    rates = [1 + mi + t * bi for mi, bi in zip(m, b or m, strict=True)]
    factor = one + sum(ci / rate for ci, rate in zip(c, rates, strict=True))
    return factor / prod(rates)


def _integral(function: Callable[[float], float], intervals: int = 200) -> float:
    """Simpson's rule from 0 to infinity, with t = u / (1 - u)."""
    total = function(0.0)
    for i in range(1, intervals):
        u = i / intervals
        total += (4 if i % 2 else 2) * function(u / (1 - u)) / (1 - u) ** 2
    return total / 3 / intervals
