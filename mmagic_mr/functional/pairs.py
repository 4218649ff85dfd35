"""Pairs of samples: K (K-1) / 2 of them, and never that many images in memory."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mmagic_mr.errors import UserError
from mmagic_mr.functional.checks import check_patch, check_shape
from mmagic_mr.functional.ranks import rank_score

# Of a squared distance: the root has no gradient at 0, where two samples coincide.
# Distances below 1e-6 count as 1e-6 and have the gradient 0.
SQUARED_DISTANCE_FLOOR = 1e-12

Term = Callable[[Tensor, Tensor], Tensor]


def near_and_apart(
    samples: Tensor, target: Tensor, term: Term
) -> tuple[Tensor, Tensor]:
    r"""Mean of a symmetric term of (s_k, y), and of (s_k, s_l) over all k < l.

    Memory is that of the samples and a few images more: the term of a pair is computed
    again in the backward pass instead of being kept.

    Args:
        samples: K samples per input, at least 2.
        target: The data y.
        term: Of two images, in any shape.

    Shape:
        samples (N, K, C, H, W); target (N, C, H, W).

    Example:
        >>> import torch
        >>> samples = torch.tensor([0., 2.]).reshape(1, 2, 1, 1, 1)
        >>> target = torch.full((1, 1, 1, 1), 3.0)
        >>> near, apart = near_and_apart(samples, target, lambda a, b: (a - b).abs())
        >>> near.item(), apart.item()
        (2.0, 2.0)
    """
    rows = samples.unbind(dim=1)
    near = torch.stack([_recomputed(term, row, target) for row in rows]).mean(dim=0)
    apart = torch.zeros_like(near)
    for k, row in enumerate(rows):
        for other in rows[:k]:
            apart = apart + _recomputed(term, row, other)
    return near, apart / (len(rows) * (len(rows) - 1) / 2)


def by_pair(samples: Tensor, term: Term) -> Tensor:
    """A number for each pair of samples of an input, in the order of `pairs_of`.

    Shape:
        samples (N, K, ...); of the term (N,); result (N, K (K-1) / 2).

    Example:
        >>> import torch
        >>> by_pair(torch.tensor([[0., 1., 3.]]), lambda a, b: (a - b).abs())
        tensor([[1., 3., 2.]])
    """
    rows = samples.unbind(dim=1)
    pairs = zip(*pairs_of(len(rows)).tolist(), strict=True)
    return torch.stack([_recomputed(term, rows[k], rows[j]) for k, j in pairs], dim=1)


def pairs_of(num_samples: int, device: torch.device | None = None) -> Tensor:
    """The pairs k < l of K samples.

    Shape:
        (2, K (K-1) / 2).

    Example:
        >>> pairs_of(3).tolist()
        [[0, 0, 1], [1, 2, 2]]
    """
    return torch.triu_indices(num_samples, num_samples, 1, device=device)


def mean_difference(samples: Tensor) -> Tensor:
    """Mean distance of two of the K samples, per element (Gini's mean difference).

    All samples get a gradient, and samples that coincide none.

    Shape:
        samples (N, K, ...), K at least 2; result (N, ...).

    Example:
        >>> import torch
        >>> mean_difference(torch.tensor([[0., 1., 3.]]))
        tensor([2.])
    """
    # Of the distances from any one sample the target does not matter.
    return rank_score(samples, samples[:, 0].detach(), near=0.0, apart=2.0)


def squares_in_patch(
    difference: Tensor, patch: int | None, mask: Tensor | None = None
) -> Tensor:
    """Sum of squares over patches, or over the masked elements of the image.

    Shape:
        difference (N, C, H, W); mask (N, 1, H, W); result
        (N, C, H - patch + 1, W - patch + 1), or (N, 1, 1, 1) for the whole image.

    Example:
        >>> import torch
        >>> squares_in_patch(torch.full((1, 1, 2, 3), 2.0), 2).tolist()
        [[[[16.0, 16.0]]]]
    """
    square = difference.square()
    if patch is None:
        if mask is not None:
            square = square * mask
        return square.sum(dim=(1, 2, 3), keepdim=True)
    # A divisor of 1: the sum over the patch.
    return F.avg_pool2d(square, patch, 1, divisor_override=1) if patch > 1 else square


def check_patches(
    samples: Tensor, patch: int | None, mask: Tensor | None
) -> Tensor | None:
    """The mask of the whole image, if any, in full precision; or an error.

    Raises:
        UserError: On a patch that is none or larger than the images, a mask beside a
            patch, or one of another shape.
    """
    check_patch(patch)
    height, width = samples.shape[-2:]
    if patch is not None and patch > min(height, width):
        raise UserError(
            f'patch = {patch} is larger than the images of {height} x {width}; use a '
            'smaller one, or None for the whole image.'
        )
    if mask is None:
        return None
    if patch is not None:
        raise UserError(
            f'mask is for the whole image, patch = {patch} was given as well; '
            'weigh the scores of the patches by patch_mask(mask, patch).'
        )
    return check_shape(mask, (len(samples), 1, height, width), 'mask')


def _recomputed(term: Term, first: Tensor, second: Tensor) -> Tensor:
    # Without the checkpoint autograd would keep an image for each of the pairs.
    result: Tensor = checkpoint(
        term, first, second, use_reentrant=False, preserve_rng_state=False
    )
    return result
