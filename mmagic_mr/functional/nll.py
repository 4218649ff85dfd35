"""Negative log-likelihood under predicted moments: equations 7 and 8."""

import math

from torch import Tensor

from mmagic_mr.errors import UserError
from mmagic_mr.functional.checks import (
    ORDERS,
    check_choice,
    check_min_noise,
    check_shape,
    full_precision,
)
from mmagic_mr.functional.distributions import Distribution, distribution_of
from mmagic_mr.functional.gradient import raised_to

# Nothing keeps a predicted variance from 0 where the data are constant. Below this one,
# which is the authors', the likelihood is evaluated at the floor.
PREDICTED_VARIANCE_FLOOR = 1e-9


def nll(
    center: Tensor,
    log_dispersion: Tensor | None,
    target: Tensor,
    distribution: str | Distribution,
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
        UserError: On unknown options, a negative min_noise, or shapes that differ.

    Reference:
        Equations 7 and 8.

    Example:
        >>> import torch
        >>> zero = torch.zeros(1, 1, 1, 1)
        >>> nll(zero, zero, torch.full((1, 1, 1, 1), 3.0), 'gaussian').item()
        4.5
    """
    # torch's gaussian_nll_loss takes the variance: its exponential underflows, and the
    # gradient vanishes, where the logarithm is -200; it has no min_noise either.
    law = distribution_of(distribution)
    check_choice('order', order, ORDERS)
    check_min_noise(min_noise)
    center = full_precision(center)
    residual = law.residual(check_shape(target, center.shape, 'target'), center)
    if order == 1:
        return residual
    if log_dispersion is None:
        raise UserError('Order 2 needs log_dispersion, got None.')
    log_dispersion = check_shape(log_dispersion, center.shape, 'log_dispersion')
    log_floor = math.log(PREDICTED_VARIANCE_FLOOR) * (law.power / 2)
    log_dispersion = raised_to(log_dispersion, log_floor)
    loss = (residual + min_noise) * (-log_dispersion).exp() + log_dispersion
    return loss / law.power
