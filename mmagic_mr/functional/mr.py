"""Moment reconstruction: algorithms 1 to 4."""

from torch import Tensor

from mmagic_mr.functional.checks import (
    check_min_noise,
    check_samples,
    check_target,
    least_samples,
)
from mmagic_mr.functional.distributions import Distribution, distribution_of
from mmagic_mr.functional.gradient import raised_to
from mmagic_mr.functional.moments import sample_moments

# Order 2 divides by a variance, which is 0 where the samples agree. Below this variance
# the loss is evaluated at the floor, see `raised_to`; above, nothing changes. The floor
# (a standard deviation of 0.4 gray levels of 255 for images in [-1, 1]) also keeps the
# gradients within float16, from 900 elements a batch on.
SAMPLE_VARIANCE_FLOOR = 1e-5


def mr_loss(
    samples: Tensor,
    target: Tensor,
    distribution: str | Distribution,
    order: int = 2,
    estimator: str = 'paper',
    min_noise: float = 0.0,
) -> Tensor:
    r"""Moment reconstruction: the sample moments against the data.

    With sample mean :math:`\mu` and variance :math:`v`, or median :math:`m` and mean
    absolute deviation :math:`b`:

    ==========  ===============  =======================================
                order 1          order 2
    ==========  ===============  =======================================
    Gaussian    (y - mu)^2       ((y - mu)^2 + n) / (2 v) + (log v) / 2
    Laplace     abs(y - m)       (abs(y - m) + n) / b + log b
    ==========  ===============  =======================================

    With K samples these prefer a wrong dispersion: order 1 pulls it to 0, order 2
    Gaussian prefers (K-1)/(K-3) times the variance of y. 'unbiased' mends that.
    Gaussian: order 1 subtracts v/K, whatever the distribution; order 2 multiplies the
    residual by (K-3)/(K-1), exact for Gaussian samples. Laplace: the same forms with
    the constants of `functional.laplace`, so that for Laplace samples and data both
    orders prefer the dispersion of the data (in order 1 the pull to 0 vanishes there,
    it cannot vanish everywhere).

    Order 2 does not resolve variances below `SAMPLE_VARIANCE_FLOOR`: it is evaluated
    there, and its gradient still drives nearly collapsed samples apart.

    Args:
        samples: K samples per input.
        target: The data y, in the units of the samples.
        distribution: 'gaussian' or 'laplace'.
        order: 1 (center only) or 2 (center and dispersion).
        estimator: 'paper', or 'unbiased' for the finite-K correction.
        min_noise: n >= 0, a floor to the dispersion that order 2 prefers, in the units
            of the dispersion. Order 1 has no use for it.

    Returns:
        The loss per element, not reduced. 'unbiased' may be negative.

    Shape:
        samples (N, K, C, H, W); target and result (N, C, H, W).

    Raises:
        UserError: On unknown options, a negative min_noise, wrong shapes, or too few
            samples: order 2 needs K >= 2; 'unbiased' needs K >= 2 in order 1 and
            K >= 4 in order 2.

    Reference:
        Algorithms 1 to 4.

    Example:
        >>> import torch
        >>> samples = torch.tensor([-1., 1.]).reshape(1, 2, 1, 1, 1)
        >>> mr_loss(samples, torch.full((1, 1, 1, 1), 3.0), 'gaussian', order=1).item()
        9.0
    """
    law = distribution_of(distribution)
    least = least_samples(order, estimator)
    check_min_noise(min_noise)
    samples = check_samples(samples, least, f'Order {order} of {estimator!r}')
    target = check_target(target, samples)
    center, dispersion = sample_moments(samples, law, estimator)
    residual = law.residual(target, center)
    num_samples = samples.shape[1]

    if order == 1:
        if estimator == 'unbiased':
            residual = residual - law.residual_bias(dispersion, num_samples)
        return residual

    dispersion = raised_to(dispersion, SAMPLE_VARIANCE_FLOOR ** (law.power / 2))
    ratio = (residual + min_noise) / dispersion
    if estimator == 'unbiased':
        ratio = law.unbiased_ratio(ratio, num_samples)
    return (ratio + dispersion.log()) / law.power
