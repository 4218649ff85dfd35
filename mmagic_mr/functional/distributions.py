"""The distributions whose moments the losses compare: an object for each.

What a formula needs to know of a distribution it asks here. To add one, write one more
object of this kind and enter it in `DISTRIBUTIONS` under its name.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from mmagic_mr.functional.checks import check_choice
from mmagic_mr.functional.gradient import straight_through
from mmagic_mr.functional.laplace import Constant, laplace_constants
from mmagic_mr.functional.variance import mean_and_variance


class Distribution(ABC):
    r"""A distribution with a center c and a dispersion d.

    Its density is that of the exponential power family, up to a constant:

    .. math:: d^{-1/p} \exp\left(-\frac{r(y - c)}{p\,d}\right)

    with the residual r and the dispersion d both in the units of the images to the
    power p. Subclasses are final and have no state.

    The last four methods are the terms of a finite K that ``estimator='unbiased'``
    mends; each is zero, or changes nothing, for infinitely many samples.
    """

    name: ClassVar[str]  # as configs write it
    power: ClassVar[int]  # p

    @abstractmethod
    def sample_moments(self, samples: Tensor, unbiased: bool) -> tuple[Tensor, Tensor]:
        """Center and dispersion of K >= 2 samples.

        Shape:
            (N, K, C, H, W) to two (N, C, H, W).
        """

    @abstractmethod
    def residual(self, target: Tensor, center: Tensor) -> Tensor:
        """Distance r of the data from the center, the power p of a difference."""

    @abstractmethod
    def variance(self, dispersion: Tensor) -> Tensor:
        """Variance of the distribution of this dispersion."""

    @abstractmethod
    def residual_bias(self, dispersion: Tensor, num_samples: int) -> Tensor:
        """What the error of the center adds to the residual (MR, order 1)."""

    @abstractmethod
    def unbiased_ratio(self, ratio: Tensor, num_samples: int) -> Tensor:
        """Residual over dispersion (MR, order 2), as of infinitely many samples."""

    @abstractmethod
    def center_bias(self, dispersion: Tensor, num_samples: int) -> Tensor:
        """Estimate of the variance of the center (proxy MR)."""

    @abstractmethod
    def dispersion_bias(self, samples: Tensor, dispersion: Tensor) -> Tensor:
        """Estimate of the variance of the dispersion (proxy MR, order 2)."""


@final
@dataclass(frozen=True)
class Gaussian(Distribution):
    """Mean and variance (divisor K-1); the corrections of K are those of any law.

    Except that of the ratio, which is exact for Gaussian samples alone.
    """

    name = 'gaussian'
    power = 2

    def sample_moments(self, samples: Tensor, unbiased: bool) -> tuple[Tensor, Tensor]:
        return mean_and_variance(samples)

    def residual(self, target: Tensor, center: Tensor) -> Tensor:
        return (target - center).square()

    def variance(self, dispersion: Tensor) -> Tensor:
        return dispersion

    def residual_bias(self, dispersion: Tensor, num_samples: int) -> Tensor:
        return dispersion / num_samples

    def unbiased_ratio(self, ratio: Tensor, num_samples: int) -> Tensor:
        return ratio * ((num_samples - 3) / (num_samples - 1))

    def center_bias(self, dispersion: Tensor, num_samples: int) -> Tensor:
        return dispersion / num_samples

    def dispersion_bias(self, samples: Tensor, dispersion: Tensor) -> Tensor:
        return dispersion.square() - _squared_variance(samples)


@final
@dataclass(frozen=True)
class Laplace(Distribution):
    """Median and mean absolute deviation from it; corrections for Laplace samples."""

    name = 'laplace'
    power = 1

    def sample_moments(self, samples: Tensor, unbiased: bool) -> tuple[Tensor, Tensor]:
        mean = samples.mean(dim=1)
        median = _median(samples, midpoint=unbiased)
        deviation = (samples - median.unsqueeze(1)).abs().mean(dim=1)
        if unbiased:
            deviation = deviation / laplace_constants(samples.shape[1]).mad
        return straight_through(median, mean), deviation

    def residual(self, target: Tensor, center: Tensor) -> Tensor:
        return (target - center).abs()

    def variance(self, dispersion: Tensor) -> Tensor:
        return 2 * dispersion.square()

    def residual_bias(self, dispersion: Tensor, num_samples: int) -> Tensor:
        return _scaled(dispersion, laplace_constants(num_samples).pull)

    def unbiased_ratio(self, ratio: Tensor, num_samples: int) -> Tensor:
        return _scaled(ratio, laplace_constants(num_samples).residual)

    def center_bias(self, dispersion: Tensor, num_samples: int) -> Tensor:
        penalty = laplace_constants(num_samples).center_penalty
        return _scaled(dispersion.square(), penalty)

    def dispersion_bias(self, samples: Tensor, dispersion: Tensor) -> Tensor:
        constants = laplace_constants(samples.shape[1])
        return constants.dispersion_penalty * dispersion.square()


DISTRIBUTIONS: dict[str, Distribution] = {
    law.name: law for law in (Gaussian(), Laplace())
}


def distribution_of(distribution: str | Distribution | None) -> Distribution:
    """The distribution of this name; one that is given as an object stays.

    Raises:
        UserError: If there is none of that name; the message lists those that are.

    Example:
        >>> distribution_of('laplace').power
        1
    """
    if isinstance(distribution, Distribution):
        return distribution
    check_choice('distribution', distribution, tuple(DISTRIBUTIONS))
    return DISTRIBUTIONS[str(distribution)]


def _median(samples: Tensor, midpoint: bool) -> Tensor:
    """By sorting: torch.median refuses GPUs in torch's deterministic mode."""
    num_samples = samples.shape[1]
    ranks = [(num_samples - 1) // 2]
    if midpoint:
        ranks.append(num_samples // 2)
    order = samples.detach().argsort(dim=1)
    return samples.gather(1, order[:, ranks]).mean(dim=1)


def _squared_variance(samples: Tensor) -> Tensor:
    """Unbiased estimate of the squared variance (h-statistic), whatever the law."""
    num = samples.shape[1]
    deviation = samples - samples.mean(dim=1, keepdim=True)
    square_sum = deviation.square().sum(dim=1)
    fourth_sum = deviation.square().square().sum(dim=1)
    return (
        (num**2 - 3 * num + 3) * square_sum.square() - num * (num - 1) * fourth_sum
    ) / (num * (num - 1) * (num - 2) * (num - 3))


def _scaled(values: Tensor, factor: Constant) -> Tensor:
    return straight_through(factor.value * values, factor.grad * values)
