"""Proxy moment reconstruction: algorithms 5 to 8."""

from torch import Tensor

from mmagic_mr.functional.checks import check_samples, check_target, least_samples
from mmagic_mr.functional.distributions import Distribution, distribution_of
from mmagic_mr.functional.moments import Moments, check_moments, sample_moments


def proxy_mr_loss(
    samples: Tensor,
    target: Moments,
    distribution: str | Distribution,
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
    `functional.laplace`.

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
        UserError: If target is not a `Moments`, on unknown options, wrong shapes, or
            too few samples: order 2 needs K >= 2; 'unbiased' needs K >= 2 in order 1
            and K >= 4 in order 2.

    Reference:
        Algorithms 5 to 8.

    Example:
        >>> import torch
        >>> samples = torch.tensor([-1., 1.]).reshape(1, 2, 1, 1, 1)
        >>> target = Moments(torch.full((1, 1, 1, 1), 3.0), torch.ones(1, 1, 1, 1))
        >>> proxy_mr_loss(samples, target, 'gaussian').item()
        10.0
    """
    law = distribution_of(distribution)
    least = least_samples(order, estimator)
    target = check_moments(target)
    samples = check_samples(samples, least, f'Order {order} of {estimator!r}')
    true_center = check_target(target.center, samples, 'target.center')
    true_dispersion = check_target(target.dispersion, samples, 'target.dispersion')
    center, dispersion = sample_moments(samples, law, estimator)

    loss = (center - true_center).square()
    if estimator == 'unbiased':
        loss = loss - law.center_bias(dispersion, samples.shape[1])
    if order == 1:
        return loss

    loss = loss + (dispersion - true_dispersion).square()
    if estimator == 'unbiased':
        loss = loss - law.dispersion_bias(samples, dispersion)
    return loss
