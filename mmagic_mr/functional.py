"""The formulas of moment reconstruction, each in one place.

Equation and algorithm numbers are those of Lee, Ha and Kim, "Harmonizing Maximum
Likelihood with GANs for Multimodal Conditional Generation", ICLR 2019.

Everything here is computed in float32 (float64 stays): the inputs are cast first and
no matrix product follows, so that autocast has nothing to lower.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mmagic_mr._laplace import Constant, laplace_constants

DISTRIBUTIONS = ('gaussian', 'laplace')
ORDERS = (1, 2)
ESTIMATORS = ('paper', 'unbiased')

# Order 2 divides by a variance, which is 0 where the samples agree, and which nothing
# keeps from 0 where the data are constant. Below these variances the loss is evaluated
# at the floor, see `_floor`; above, nothing changes. That of the samples (a standard
# deviation of 0.4 grey levels of 255 for images in [-1, 1]) also keeps the gradients
# within float16, from 900 elements a batch on; the other one is the authors'.
SAMPLE_VARIANCE_FLOOR = 1e-5
PREDICTED_VARIANCE_FLOOR = 1e-9


class Moments(NamedTuple):
    """Center and dispersion of a distribution, per element.

    Gaussian: mean and variance. Laplace: median and mean absolute deviation from it.
    The dispersion is never a logarithm.

    Args:
        center: In the units of the images.
        dispersion: In squared units (Gaussian) or in the units (Laplace).

    Shape:
        (N, C, H, W) each.

    Example:
        >>> import torch
        >>> Moments(torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)).dispersion.shape
        torch.Size([1, 3, 2, 2])
    """

    center: Tensor
    dispersion: Tensor


def check_options(
    distribution: str = 'gaussian', order: int = 2, estimator: str = 'paper'
) -> None:
    """Refuse an unknown distribution, order or estimator, naming the valid ones.

    Raises:
        ValueError: If one of the three is not known.

    Example:
        >>> check_options('laplace', 1, 'unbiased')
    """
    for name, value, valid in (
        ('distribution', distribution, DISTRIBUTIONS),
        ('order', order, ORDERS),
        ('estimator', estimator, ESTIMATORS),
    ):
        if value not in valid:
            options = ', '.join(repr(option) for option in valid)
            raise ValueError(f'{name} must be one of {options}, got {value!r}.')


def sample_moments(
    samples: Tensor, distribution: str = 'gaussian', estimator: str = 'paper'
) -> Moments:
    """Moments of K samples.

    Gaussian: mean and variance with divisor K-1, for both estimators. Laplace: median
    and mean absolute deviation from it. 'paper' takes the lower median of an even K, as
    ``torch.median``. 'unbiased' takes the mid-point one and divides the deviation by
    its expectation for K samples of a Laplace distribution of scale 1. (Of 10 Gaussian
    samples the deviation is then 2% too low on average, instead of 7%.)

    The gradient of the median as a center is spread evenly over the samples
    (appendix A), 1/K each.

    Args:
        samples: K samples per input, in any units. The dispersion of a single sample
            is NaN.
        distribution: 'gaussian' or 'laplace'.
        estimator: 'paper' or 'unbiased'.

    Returns:
        The moments in float32, or float64 for float64 samples.

    Shape:
        samples (N, K, C, H, W); each moment (N, C, H, W).

    Raises:
        ValueError: On an unknown option, or samples that are not 5-dimensional.

    Reference:
        Algorithms 1 to 4 and appendix A.

    Example:
        >>> import torch
        >>> samples = torch.tensor([1., 2., 6.]).reshape(1, 3, 1, 1, 1)
        >>> [moment.item() for moment in sample_moments(samples)]
        [3.0, 7.0]
        >>> center, mad = sample_moments(samples, 'laplace')
        >>> center.item(), round(mad.item(), 4)
        (2.0, 1.6667)
    """
    check_options(distribution, estimator=estimator)
    samples = _check_samples(samples)
    num_samples = samples.shape[1]
    mean = samples.mean(dim=1)
    if distribution == 'gaussian':
        center = mean
    else:
        median = _median(samples, estimator)
        center = _straight_through(median, mean)

    if num_samples == 1:
        dispersion = torch.full_like(mean, float('nan'))
    elif distribution == 'gaussian':
        dispersion = samples.var(dim=1, unbiased=True)
    else:
        dispersion = (samples - median.unsqueeze(1)).abs().mean(dim=1)
        if estimator == 'unbiased':
            dispersion = dispersion / laplace_constants(num_samples).mad
    return Moments(center, dispersion)


def variance_of(moments: Moments, distribution: str = 'gaussian') -> Tensor:
    """Variance of a distribution with these moments; Laplace: 2 b^2.

    Shape:
        Two (N, C, H, W) to (N, C, H, W).

    Example:
        >>> import torch
        >>> variance_of(Moments(torch.zeros(1), torch.full((1,), 3.0)), 'laplace')
        tensor([18.])
    """
    check_options(distribution)
    if distribution == 'laplace':
        return 2 * moments.dispersion.square()
    return moments.dispersion


def mr_loss(
    samples: Tensor,
    target: Tensor,
    distribution: str = 'gaussian',
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
    the constants of `laplace_constants`, so that for Laplace samples and data both
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
        ValueError: On unknown options, wrong shapes, or too few samples: order 2 needs
            K >= 2; 'unbiased' needs K >= 2 in order 1 and K >= 4 in order 2.

    Reference:
        Algorithms 1 to 4.

    Example:
        >>> import torch
        >>> samples = torch.tensor([-1., 1.]).reshape(1, 2, 1, 1, 1)
        >>> mr_loss(samples, torch.full((1, 1, 1, 1), 3.0), order=1).item()
        9.0
    """
    check_options(distribution, order, estimator)
    samples = _check_samples(samples, order, estimator)
    target = _check_target(target, samples)
    center, dispersion = sample_moments(samples, distribution, estimator)
    residual = _residual(target, center, distribution)
    gaussian, unbiased = distribution == 'gaussian', estimator == 'unbiased'
    num_samples = samples.shape[1]

    if order == 1:
        if unbiased and gaussian:
            residual = residual - dispersion / num_samples
        elif unbiased:
            pull = laplace_constants(num_samples).pull
            residual = residual - _scale(dispersion, pull)
        return residual

    floor = SAMPLE_VARIANCE_FLOOR if gaussian else SAMPLE_VARIANCE_FLOOR**0.5
    dispersion = _floor(dispersion, floor)
    ratio = (residual + min_noise) / dispersion
    if unbiased and gaussian:
        ratio = ratio * ((num_samples - 3) / (num_samples - 1))
    elif unbiased:
        ratio = _scale(ratio, laplace_constants(num_samples).residual)
    loss = ratio + dispersion.log()
    return loss / 2 if gaussian else loss


def proxy_mr_loss(
    samples: Tensor,
    target: Moments,
    distribution: str = 'gaussian',
    order: int = 2,
    estimator: str = 'paper',
) -> Tensor:
    r"""Proxy moment reconstruction: the sample moments against predicted ones.

    Order 1 is the squared difference of the centers, order 2 adds that of the
    dispersions.

    Squaring an estimate adds its variance, a hidden penalty on the dispersion.
    'unbiased' subtracts an unbiased estimate of that variance. Gaussian: with the
    samples split in halves A and B and the predicted :math:`\mu`, :math:`v`, the form
    :math:`(\mu_A - \mu)(\mu_B - \mu) + (v_A - v)(v_B - v)` has no such penalty for any
    distribution; this is its average over all splits, in closed form. Laplace: the
    variances of median and deviation are those of Laplace samples, see
    `laplace_constants`.

    Args:
        samples: K samples per input.
        target: Predicted center and dispersion, in the units of the samples.
        distribution: 'gaussian' or 'laplace'; the predictor's as well.
        order: 1 (center only) or 2 (center and dispersion).
        estimator: 'paper', or 'unbiased' for the finite-K correction.

    Returns:
        The loss per element, not reduced. 'unbiased' may be negative.

    Shape:
        samples (N, K, C, H, W); both moments of target and the result (N, C, H, W).

    Raises:
        TypeError: If target is not a `Moments`.
        ValueError: On unknown options, wrong shapes, or too few samples: order 2 needs
            K >= 2; 'unbiased' needs K >= 2 in order 1 and K >= 4 in order 2.

    Reference:
        Algorithms 5 to 8.

    Example:
        >>> import torch
        >>> samples = torch.tensor([-1., 1.]).reshape(1, 2, 1, 1, 1)
        >>> target = Moments(torch.full((1, 1, 1, 1), 3.0), torch.ones(1, 1, 1, 1))
        >>> proxy_mr_loss(samples, target).item()
        10.0
    """
    check_options(distribution, order, estimator)
    if not isinstance(target, Moments):
        raise TypeError(
            'The target of a proxy loss must be a Moments(center, dispersion) from '
            f'the predictor, got {type(target).__name__}. To compare the samples with '
            'the data itself, use the MR loss.'
        )
    samples = _check_samples(samples, order, estimator)
    true_center = _check_target(target.center, samples, 'target.center')
    true_dispersion = _check_target(target.dispersion, samples, 'target.dispersion')
    center, dispersion = sample_moments(samples, distribution, estimator)
    gaussian, unbiased = distribution == 'gaussian', estimator == 'unbiased'
    num_samples = samples.shape[1]

    loss = (center - true_center).square()
    if unbiased and gaussian:
        loss = loss - dispersion / num_samples
    elif unbiased:
        constants = laplace_constants(num_samples)
        loss = loss - _scale(dispersion.square(), constants.center_penalty)
    if order == 1:
        return loss

    loss = loss + (dispersion - true_dispersion).square()
    if unbiased and gaussian:
        loss = loss - (dispersion.square() - _squared_variance(samples))
    elif unbiased:
        loss = loss - constants.dispersion_penalty * dispersion.square()
    return loss


def nll(
    center: Tensor,
    log_dispersion: Tensor | None,
    target: Tensor,
    distribution: str = 'gaussian',
    order: int = 2,
    min_noise: float = 0.0,
) -> Tensor:
    r"""Negative log-likelihood of the data under predicted moments, up to a constant.

    ==========  ===============  =========================================
                order 1          order 2
    ==========  ===============  =========================================
    Gaussian    (y - mu)^2       ((y - mu)^2 + n) / (2 v) + (log v) / 2
    Laplace     abs(y - m)       (abs(y - m) + n) / b + log b
    ==========  ===============  =========================================

    Order 1 is the likelihood of a fixed dispersion, without its scale. Order 2 leaves
    out the constants (log 2 pi)/2 and log 2.

    Args:
        center: Predicted mean or median, in the units of the data.
        log_dispersion: Natural logarithm of the predicted variance or mean absolute
            deviation. May be None in order 1.
        target: The data y.
        distribution: 'gaussian' or 'laplace'.
        order: 1 (center only) or 2 (center and dispersion).
        min_noise: n >= 0, the least dispersion that order 2 prefers, in the units of
            the dispersion. Order 1 has no use for it.

    Returns:
        The loss per element, not reduced.

    Shape:
        (N, C, H, W) all.

    Raises:
        ValueError: On unknown options, or shapes that differ.

    Reference:
        Equations 7 and 8.

    Example:
        >>> import torch
        >>> zero = torch.zeros(1, 1, 1, 1)
        >>> nll(zero, zero, torch.full((1, 1, 1, 1), 3.0)).item()
        4.5
    """
    check_options(distribution, order)
    center = _full_precision(center)
    residual = _residual(
        _check_shape(target, center.shape, 'target'), center, distribution
    )
    if order == 1:
        return residual
    if log_dispersion is None:
        raise ValueError('Order 2 needs log_dispersion, got None.')
    log_dispersion = _check_shape(log_dispersion, center.shape, 'log_dispersion')
    gaussian = distribution == 'gaussian'
    log_floor = math.log(PREDICTED_VARIANCE_FLOOR) * (1 if gaussian else 0.5)
    log_dispersion = _floor(log_dispersion, log_floor)
    loss = (residual + min_noise) * (-log_dispersion).exp() + log_dispersion
    return loss / 2 if gaussian else loss


def masked_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean over all elements, or over the masked ones with the channels counted.

    An empty mask gives 0, with zero gradients: there is nothing to reconstruct.

    Args:
        values: Loss per element.
        mask: 1 (or True) where an element counts. A fractional mask is a weight.

    Returns:
        A scalar.

    Shape:
        values (N, C, H, W); mask (N, 1, H, W).

    Raises:
        ValueError: If the mask has another shape.

    Example:
        >>> import torch
        >>> values = torch.tensor([[1., 2.], [3., 6.]]).reshape(1, 2, 1, 2)
        >>> masked_mean(values).item()
        3.0
        >>> masked_mean(values, torch.tensor([0, 1]).reshape(1, 1, 1, 2)).item()
        4.0
    """
    values = _full_precision(values)
    if mask is None:
        return values.mean()
    expected = (values.shape[0], 1, *values.shape[2:])
    mask = _check_shape(mask, expected, 'mask').to(values.dtype)
    count = mask.sum() * values.shape[1]
    return (values * mask).sum() / torch.where(count > 0, count, 1)


def _median(samples: Tensor, estimator: str) -> Tensor:
    """By sorting: torch.median refuses GPUs in torch's deterministic mode."""
    num_samples = samples.shape[1]
    ranks = [(num_samples - 1) // 2]
    if estimator == 'unbiased':
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


def _residual(target: Tensor, center: Tensor, distribution: str) -> Tensor:
    difference = target - center
    return difference.square() if distribution == 'gaussian' else difference.abs()


def _straight_through(values: Tensor, source: Tensor) -> Tensor:
    """The given values, to the bit, with the gradient of the source."""
    return values.detach() + (source - source.detach())


def _scale(values: Tensor, factor: Constant) -> Tensor:
    return _straight_through(factor.value * values, factor.grad * values)


def _floor(values: Tensor, floor: float) -> Tensor:
    """Raise values below the floor to it; the gradient passes as if unchanged.

    A clamp alone would stop the gradient, and collapsed samples would stay collapsed.
    """
    return _straight_through(values.clamp(min=floor), values)


def _full_precision(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _check_samples(samples: Tensor, order: int = 1, estimator: str = 'paper') -> Tensor:
    if samples.ndim != 5:
        raise ValueError(
            f'samples must be (N, K, C, H, W), got the shape {tuple(samples.shape)}.'
        )
    needed = {1: 1, 2: 2} if estimator == 'paper' else {1: 2, 2: 4}
    num_samples = samples.shape[1]
    if num_samples < needed[order]:
        raise ValueError(
            f"Order {order} with estimator='{estimator}' needs at least "
            f'K = {needed[order]} samples per input, got K = {num_samples}.'
        )
    return _full_precision(samples)


def _check_target(target: Tensor, samples: Tensor, name: str = 'target') -> Tensor:
    return _check_shape(target, (samples.shape[0], *samples.shape[2:]), name)


def _check_shape(values: Tensor, expected: tuple, name: str) -> Tensor:
    if tuple(values.shape) != tuple(expected):
        raise ValueError(
            f'{name} must have the shape {tuple(expected)}, got {tuple(values.shape)}.'
        )
    return _full_precision(values)
