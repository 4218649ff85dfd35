"""From a loss per element, or per patch, to a number."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mmagic_mr.functional.checks import check_shape, full_precision
from mmagic_mr.functional.processes import process_mean


def masked_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean over all elements, or over the masked ones with the channels counted.

    An empty mask gives 0, with zero gradients: there is nothing to reconstruct. Inside
    `over_all_processes` the elements are those of all processes: the mean of the
    results over the processes is the masked mean of what they have together.

    Args:
        values: Loss per element.
        mask: 1 (or True) where an element counts. A fractional mask is a weight.

    Returns:
        A scalar.

    Shape:
        values (N, C, H, W); mask (N, 1, H, W).

    Raises:
        UserError: If the mask has another shape.

    Example:
        >>> import torch
        >>> values = torch.tensor([[1., 2.], [3., 6.]]).reshape(1, 2, 1, 2)
        >>> masked_mean(values).item()
        3.0
        >>> masked_mean(values, torch.tensor([0, 1]).reshape(1, 1, 1, 2)).item()
        4.0
    """
    values = full_precision(values)
    if mask is None:
        return values.mean()
    expected = (values.shape[0], 1, *values.shape[2:])
    mask = check_shape(mask, expected, 'mask').to(values.dtype)
    count = process_mean(mask.sum() * values.shape[1])
    return (values * mask).sum() / torch.where(count > 0, count, 1)


def patch_mask(mask: Tensor, patch: int | None, stride: int = 1) -> Tensor:
    """The mask of patches: a patch counts where it lies wholly inside.

    Args:
        mask: 1 (or True) where an element counts. Of a fractional mask a patch has the
            least weight inside it.
        patch: Side of the patches; None: one patch, the image, which counts where
            anything in it does.
        stride: From one patch to the next; 1: a patch at every position.

    Returns:
        A mask for a map of one value per patch.

    Shape:
        (N, 1, H, W) to (N, 1, H - patch + 1, W - patch + 1), for a stride of 1, or
        (N, 1, 1, 1).

    Example:
        >>> import torch
        >>> patch_mask(torch.tensor([[0, 1, 1, 1]]).reshape(1, 1, 1, 4), 1).tolist()
        [[[[0.0, 1.0, 1.0, 1.0]]]]
        >>> patch_mask(torch.tensor([[0, 1], [1, 1]]).reshape(1, 1, 2, 2), 2).tolist()
        [[[[0.0]]]]
    """
    mask = full_precision(mask)
    if patch is None:
        return (mask.amax((1, 2, 3), keepdim=True) > 0).to(mask.dtype)
    return -F.max_pool2d(-mask, patch, stride=stride)
