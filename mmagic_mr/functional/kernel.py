"""The kernel score: a bounded scoring rule, the conditional MMD."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmagic_mr.checks import fits
from mmagic_mr.errors import UserError
from mmagic_mr.functional.checks import check_samples, check_target
from mmagic_mr.functional.pairs import check_patches, near_and_apart, squares_in_patch


def kernel_score(
    samples: Tensor,
    target: Tensor,
    bandwidths: Sequence[float],
    patch: int | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Kernel score of K samples, of the whole image or of patches, fair.

    .. math::
        \frac{1}{K(K-1)} \sum_{k \ne l} k(s_k, s_l) - \frac2K \sum_k k(s_k, y)

    On average it is the squared maximum mean discrepancy between the distribution of
    the samples and that of y, but for a term that has no samples in it. The kernel is
    the mean of Gaussian ones,

    .. math:: k(u, v) = \frac1B \sum_b \exp \left( -\frac{m(u, v)}{2 h_b^2} \right)

    with m the mean of the squares of u - v over the patch, so that a bandwidth h is a
    difference per element, whatever the patch. What lies several of the largest
    bandwidths from y has no gradient any more; differences far below the smallest one
    are not seen.

    Memory is that of the samples and a few images more, as for `energy_score`.

    Args:
        samples: K samples per input, in any units.
        target: The data y, in the units of the samples.
        bandwidths: h of each Gaussian, positive, in the units of the samples.
        patch: Side of the patches, per channel, at every position in the image; None:
            the image with its channels.
        mask: For patch=None alone: 1 where an element counts. With patches,
            `patch_mask` says which of the scores count.

    Returns:
        The score per patch, not reduced, from -2 to 1.

    Shape:
        samples (N, K, C, H, W); target (N, C, H, W); mask (N, 1, H, W); result
        (N, C, H - patch + 1, W - patch + 1), or (N, 1, 1, 1) for the whole image.

    Raises:
        UserError: On bandwidths that are none, a patch out of range, a mask beside a
            patch, wrong shapes, or K < 2.

    Reference:
        Gneiting and Raftery, Strictly proper scoring rules, prediction, and
        estimation, JASA 2007, section 5.1. Gretton et al., A kernel two-sample test,
        JMLR 2012.

    Example:
        >>> import torch
        >>> samples = torch.tensor([0., 0.]).reshape(1, 2, 1, 1, 1)
        >>> kernel_score(samples, torch.zeros(1, 1, 1, 1), [1.0]).item()
        -1.0
    """
    check_bandwidths(bandwidths)
    samples = check_samples(samples, 2, 'The kernel score')
    target = check_target(target, samples)
    mask = check_patches(samples, patch, mask)
    count: Tensor | float
    if patch is None:
        count = samples[0, 0].numel()
        if mask is not None:
            inside = mask.sum(dim=(1, 2, 3), keepdim=True) * samples.shape[2]
            count = torch.where(inside > 0, inside, 1)
    else:
        count = patch**2

    def kernel(first: Tensor, second: Tensor) -> Tensor:
        mean = squares_in_patch(first - second, patch, mask) / count
        kernels = [torch.exp(-mean / (2 * h**2)) for h in bandwidths]
        return torch.stack(kernels).mean(dim=0)

    near, apart = near_and_apart(samples, target, kernel)
    return apart - 2 * near


def check_bandwidths(bandwidths: object) -> None:
    """Refuse what is no list of positive numbers.

    Raises:
        UserError: If it is none.
    """
    right = isinstance(bandwidths, list | tuple) and bool(bandwidths)
    if not right or not all(fits(h, float) and h > 0 for h in bandwidths):  # type: ignore[attr-defined]
        raise UserError(
            'bandwidths must be a list of positive numbers, such as [0.1, 0.3, 1.0], '
            f'got {bandwidths!r}.'
        )
