"""Scoring rules: losses of K samples whose optimum is the true distribution."""

from torch import Tensor

from mmagic_mr.functional.checks import (
    check_alpha,
    check_beta,
    check_samples,
    check_target,
)
from mmagic_mr.functional.pairs import (
    SQUARED_DISTANCE_FLOOR,
    check_patches,
    near_and_apart,
    squares_in_patch,
)
from mmagic_mr.functional.ranks import rank_score


def crps(samples: Tensor, target: Tensor, alpha: float = 1.0) -> Tensor:
    r"""Continuous ranked probability score of K samples, fair or almost fair.

    .. math::
        \frac1K \sum_k |s_k - y| - \frac{c}{K(K-1)} \sum_{k<l} |s_k - s_l|,
        \quad c = 1 - \frac{1-\alpha}{K}

    With alpha 1 it is fair: on average over samples of a distribution it is the CRPS of
    that distribution, whatever K, and so is least for the true one. With less, it
    prefers too small a spread: :math:`c^2/(2-c^2)` times the variance of Gaussian data.
    Alpha 0 is the plain score of K samples.

    The gradient in a sample is sign(s_k - y)/K - c (2 r_k - (K-1)) / (K (K-1)), with
    its rank r_k among the samples, from 0; equal samples share their mean rank. The
    ranks are counted in integers of a byte, and are all that is kept, with the signs,
    for the backward pass; there is no second derivative.

    Args:
        samples: K samples per input, in any units.
        target: The data y, in the units of the samples.
        alpha: From 0 to 1. At 1, one sample may be anything at no cost where all others
            equal y; slightly less, as 0.95, mends that.

    Returns:
        The score per element, in the units of the samples, not reduced. For alpha > 0
        it may be negative.

    Shape:
        samples (N, K, C, H, W); target and result (N, C, H, W).

    Raises:
        UserError: On alpha outside [0, 1], wrong shapes, or K < 2.

    Reference:
        Ferro, Fair scores for ensemble forecasts, QJRMS 2014 (fair). Lang et al.,
        AIFS-CRPS, 2024 (almost fair).

    Example:
        >>> import torch
        >>> samples = torch.tensor([0., 2.]).reshape(1, 2, 1, 1, 1)
        >>> target = torch.full((1, 1, 1, 1), 3.0)
        >>> crps(samples, target).item(), crps(samples, target, alpha=0.0).item()
        (1.0, 1.5)
    """
    check_alpha(alpha)
    samples = check_samples(samples, 2, 'The CRPS')
    target = check_target(target, samples)
    num_samples = samples.shape[1]
    factor = (num_samples - 1 + alpha) / num_samples
    return rank_score(samples, target, near=1.0, apart=-factor)


def energy_score(
    samples: Tensor,
    target: Tensor,
    patch: int | None = None,
    beta: float = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Energy score of K samples, of the whole image or of patches, fair.

    .. math::
        \frac1K \sum_k \|s_k - y\|^\beta
        - \frac{1}{K(K-1)} \sum_{k<l} \|s_k - s_l\|^\beta

    The norm is the Euclidean one, not divided by the number of its elements: a
    difference d at each of n places has the norm d sqrt(n). So the score is in the
    units of the samples to the power beta, and grows with the patch, about as its side
    where neighbors err independently of each other, to the power beta.

    patch=None: over all channels and places of the image, one score per image.
    patch=p: over the p x p places of a channel, for every channel and every position
    of the patch that lies in the image (stride 1). patch=1 with beta=1 is the CRPS.

    Memory is that of the samples and a few images more: the distances of a pair are
    computed again in the backward pass instead of being kept.

    Args:
        samples: K samples per input, in any units.
        target: The data y, in the units of the samples.
        patch: Side of the patches, from 1 to that of the image; None: the image.
        beta: Above 0 and below 2, where the score is strictly proper.
        mask: For patch=None alone: 1 where an element counts in the norm. A fractional
            mask is a weight of the squares. With patches, `patch_mask` says which of
            the scores count.

    Returns:
        The score per patch, not reduced. It may be negative.

    Shape:
        samples (N, K, C, H, W); target (N, C, H, W); mask (N, 1, H, W); result
        (N, C, H - patch + 1, W - patch + 1), or (N, 1, 1, 1) for the whole image.

    Raises:
        UserError: On patch or beta out of range, a mask beside a patch, wrong shapes,
            or K < 2.

    Reference:
        Gneiting and Raftery, Strictly proper scoring rules, prediction, and
        estimation, JASA 2007, equation 22.

    Example:
        >>> import torch
        >>> samples = torch.tensor([[0., 0.], [6., 8.]]).reshape(1, 2, 1, 1, 2)
        >>> target = torch.tensor([3., 4.]).reshape(1, 1, 1, 2)
        >>> energy_score(samples, target).item()  # (5 + 5) / 2 - 10 / 2
        0.0
    """
    check_beta(beta)
    samples = check_samples(samples, 2, 'The energy score')
    target = check_target(target, samples)
    mask = check_patches(samples, patch, mask)

    def distance(first: Tensor, second: Tensor) -> Tensor:
        square = squares_in_patch(first - second, patch, mask)
        return square.clamp(min=SQUARED_DISTANCE_FLOOR).pow(beta / 2)

    near, apart = near_and_apart(samples, target, distance)
    return near - apart / 2
