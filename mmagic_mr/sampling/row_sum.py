"""Sums of a tensor for each input and one for each sample, and their gradients.

The sum of the two halves of a convolution is where most of a network's work on samples
passes through. PyTorch's broadcasting gives the same values; its result is a view, of
which an activation in place copies the gradient, and its gradient of the inputs' half
is a sum over K in five dimensions, which takes twenty times as long in a channels-last
layout as the same sum over rows of memory.
"""

from typing import Any

import torch
from torch import Tensor


class _AddRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, samples: Tensor) -> Tensor:
        rows = len(inputs), len(samples) // len(inputs)
        ctx.rows = rows
        # Not the view that `flatten` would give
        total = torch.empty_like(samples)
        own, out = (torch.unflatten(rows_of, 0, rows) for rows_of in (samples, total))
        torch.add(inputs.unsqueeze(1), own, out=out)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor]:
        (grad,) = grads
        return sum_samples(grad, *ctx.rows) if ctx.needs_input_grad[0] else None, grad


def add_rows(inputs: Tensor, samples: Tensor) -> Tensor:
    """Add the rows of each input to those of its K samples.

    Shape:
        (N, ...) and (N*K, ...), alike beyond, of one dtype, to (N*K, ...).

    Example:
        >>> inputs, samples = torch.tensor([[1.0], [2.0]]), torch.zeros(6, 1)
        >>> add_rows(inputs, samples).flatten().tolist()
        [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    """
    total: Tensor = _AddRows.apply(inputs, samples)  # type: ignore[no-untyped-call]
    return total


def sum_samples(samples: Tensor, num_inputs: int, num_samples: int) -> Tensor:
    """Sum over the samples of each input, in the order in which memory lies.

    Shape:
        (N*K, ...) to (N, ...).

    Example:
        >>> images = torch.ones(6, 3, 4, 4).to(memory_format=torch.channels_last)
        >>> total = sum_samples(images, 2, 3)
        >>> total.shape, float(total.mean())
        (torch.Size([2, 3, 4, 4]), 3.0)
        >>> total.is_contiguous(memory_format=torch.channels_last)
        True
    """
    strides, shape = samples.stride(), (num_inputs, num_samples)
    order = sorted(range(1, samples.dim()), key=lambda i: -strides[i])
    dense = samples.permute(0, *order)
    total = torch.unflatten(dense, 0, shape).flatten(2).sum(1)
    back = [order.index(i) + 1 for i in range(1, samples.dim())]
    return torch.unflatten(total, 1, dense.shape[1:]).permute(0, *back)
