"""The regularizer of rcGAN: an L1 distance of the mean, less a reward for spread."""

import math

import torch
from torch import Tensor

from mmagic_mr.functional.checks import check_choice, check_samples, check_target
from mmagic_mr.functional.pairs import SQUARED_DISTANCE_FLOOR
from mmagic_mr.functional.variance import mean_and_variance

RCGAN_ESTIMATORS = ('paper', 'released')


def rcgan(
    samples: Tensor,
    target: Tensor,
    spread_weight: float = 1.0,
    estimator: str = 'paper',
) -> Tensor:
    r"""Distance of the mean of K samples from y, less a reward for their spread.

    .. math::
        |y - \bar s| - \beta \sqrt{\frac{2}{\pi K (K+1)}} \; \sigma, \quad
        \sigma = \sqrt{\frac{\pi}{2 K (K-1)}} \sum_k |s_k - \bar s|

    If samples and data are Gaussian and :math:`\beta = 1`, the true mean and variance
    are preferred, for every K. Only then: for data of -1 or 1 the preferred standard
    deviation is sqrt(K / log(K+1)): 1.35 with K = 2, 1.91 with K = 8.

    estimator='released' is the arithmetic of the authors' code, whose sigma is the
    standard deviation of the samples (with K-1). That is too small on average, and the
    preferred variance of Gaussian data is c^2 K / (K + 1 - c^2), with c the mean of the
    standard deviation of K standard normal numbers: 0.54, 0.82, 0.92 for K = 2, 4, 8.

    Args:
        samples: K samples per input, in any units.
        target: The data y, in the units of the samples.
        spread_weight: :math:`\beta`.
        estimator: 'paper' or 'released'.

    Returns:
        The loss per element, in the units of the samples, not reduced.

    Shape:
        samples (N, K, C, H, W); target and result (N, C, H, W).

    Raises:
        UserError: On an unknown estimator, wrong shapes, or K < 2.

    Reference:
        Bendel, Ahmad and Schniter, A regularized conditional GAN for posterior sampling
        in image recovery problems, NeurIPS 2023, equations 8 to 10.

    Example:
        >>> import torch
        >>> samples = torch.tensor([0., 2.]).reshape(1, 2, 1, 1, 1)
        >>> loss = rcgan(samples, torch.full((1, 1, 1, 1), 3.0))
        >>> round(loss.item(), 4)  # 2 - sqrt(1 / (3 pi)) sqrt(pi / 4) 2
        1.4226
    """
    check_choice('estimator', estimator, RCGAN_ESTIMATORS)
    samples = check_samples(samples, 2, 'The loss of rcGAN')
    target = check_target(target, samples)
    num_samples = samples.shape[1]
    mean = samples.mean(dim=1)
    if estimator == 'paper':
        distance = (samples - mean.unsqueeze(1)).abs().sum(dim=1)
        spread = distance * math.sqrt(math.pi / (2 * num_samples * (num_samples - 1)))
    else:
        # A root of 0 has no gradient.
        spread = mean_and_variance(samples)[1].clamp(min=SQUARED_DISTANCE_FLOOR).sqrt()
    reward = spread_weight * math.sqrt(2 / (math.pi * num_samples * (num_samples + 1)))
    return torch.abs(target - mean) - reward * spread
