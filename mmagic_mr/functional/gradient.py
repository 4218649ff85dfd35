"""Values whose gradient is chosen, not that of the arithmetic."""

from torch import Tensor


def straight_through(values: Tensor, source: Tensor) -> Tensor:
    """The given values, to the bit, with the gradient of the source.

    Example:
        >>> import torch
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> y = straight_through(x.round() + 7, 2 * x)
        >>> y.backward()
        >>> y.item(), x.grad.item()
        (10.0, 2.0)
    """
    return values.detach() + (source - source.detach())


def raised_to(values: Tensor, floor: float) -> Tensor:
    """Raise values below the floor to it; the gradient passes as if unchanged.

    A clamp alone would stop the gradient, and collapsed samples would stay collapsed.

    Example:
        >>> import torch
        >>> raised_to(torch.tensor([0.5, 2.0]), 1.0)
        tensor([1., 2.])
    """
    return straight_through(values.clamp(min=floor), values)
