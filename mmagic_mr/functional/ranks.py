"""The CRPS of K samples, and its gradient, by counting: no sort and no K x K images."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Elements of samples that are counted at a time. On a CPU they stay in its cache; on a
# GPU they only bound what is needed beside the samples.
CPU_BLOCK = 2**19
BLOCK = 2**24

COUNTS = (torch.int8, torch.int16, torch.int32)


def rank_score(samples: Tensor, target: Tensor, near: float, apart: float) -> Tensor:
    """`RankScore`, in eager mode also under ``torch.compile``, which unrolls loops.

    Example:
        >>> import torch
        >>> samples = torch.tensor([[0., 2.]])
        >>> rank_score(samples, torch.tensor([3.]), near=1.0, apart=0.0)
        tensor([2.])
        >>> rank_score(samples, torch.tensor([3.]), near=0.0, apart=1.0)
        tensor([1.])
    """
    apply: Callable[..., Tensor] = RankScore.apply
    if torch.compiler.is_compiling():
        apply = torch.compiler.disable(apply)  # type: ignore[no-untyped-call]
    return apply(samples, target, near, apart)


class RankScore(torch.autograd.Function):
    r"""Distances of the samples from the target and from each other, by counting.

    .. math::
        \frac{a}{K} \sum_k |s_k - y| + \frac{b}{K(K-1)} \sum_{k<l} |s_k - s_l|

    Its gradient in s_k is :math:`g_k / (K(K-1))` with :math:`g_k` = a (K-1)
    sign(s_k - y) + b e_k, where e_k is the number of samples below s_k less the number
    above it, and its value :math:`\sum_k g_k (s_k - y) / (K(K-1))`: the e_k sum to 0,
    so that distances from the target do in place of the samples; they are rounded less.

    Signs and counts are small integers, and all that is kept for the backward pass: two
    bytes per sample for K up to 127. There is no second derivative (it is 0 wherever
    there is one), and asking for it is an error.
    """

    @staticmethod
    def forward(
        ctx: Any, samples: Tensor, target: Tensor, near: float, apart: float
    ) -> Tensor:
        """Score per element.

        Args:
            ctx: Of autograd.
            samples: K >= 2 samples per input.
            target: The data, of the same type.
            near: a, of the distances from the target.
            apart: b, of the pairs.

        Shape:
            samples (N, K, ...); target and result (N, ...).
        """
        num_samples = samples.shape[1]
        rows = samples.reshape(len(samples), num_samples, -1)
        data = target.reshape(len(samples), -1)
        kind = next(t for t in COUNTS if torch.iinfo(t).max >= num_samples)
        signs, excess = (torch.empty_like(rows, dtype=kind) for _ in range(2))
        score = torch.empty_like(data)
        for inputs, places in _blocks(rows):
            block = rows[inputs, :, places].movedim(1, 0)
            block = block.clone(memory_format=torch.contiguous_format)
            buffer = torch.empty_like(block)
            counts = _excess_below(block, buffer, kind)
            block -= data[inputs, places]
            torch.sign(block, out=buffer)
            signs[inputs, :, places].movedim(1, 0).copy_(buffer)
            excess[inputs, :, places].movedim(1, 0).copy_(counts)
            buffer.mul_(near * (num_samples - 1)).add_(counts, alpha=apart)
            score[inputs, places] = buffer.mul_(block).sum(dim=0)
        score /= num_samples * (num_samples - 1)
        ctx.save_for_backward(signs, excess)
        ctx.near, ctx.apart = near, apart
        return score.reshape(target.shape)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Gradients in samples and target."""
        signs, excess = ctx.saved_tensors
        num_samples = signs.shape[1]
        share = grad / (num_samples * (num_samples - 1))
        of_samples = of_target = None
        if ctx.needs_input_grad[0]:
            shape = (len(grad), num_samples, *grad.shape[1:])
            of_samples = grad.new_empty(shape)
            rows, shares = of_samples.view(signs.shape), share.reshape(len(grad), 1, -1)
            for inputs, places in _blocks(signs):
                block = rows[inputs, :, places].copy_(signs[inputs, :, places])
                block.mul_(ctx.near * (num_samples - 1))
                block.add_(excess[inputs, :, places], alpha=ctx.apart)
                block.mul_(shares[inputs, :, places])
        if ctx.needs_input_grad[1]:
            total = signs.sum(dim=1).reshape(grad.shape)
            of_target = share * (total * (ctx.near * (1 - num_samples)))
        return of_samples, of_target, None, None


def _blocks(rows: Tensor) -> Iterator[tuple[slice, slice]]:
    """Slices of the inputs and of the places of (N, K, P), which cover them all."""
    length = CPU_BLOCK if rows.device.type == 'cpu' else BLOCK
    num_inputs, num_samples, num_places = rows.shape
    places = max(1, min(length // num_samples, num_places))
    inputs = max(1, length // (num_samples * places))
    for n in range(0, num_inputs, inputs):
        for p in range(0, num_places, places):
            yield slice(n, n + inputs), slice(p, p + places)


def _excess_below(block: Tensor, buffer: Tensor, kind: torch.dtype) -> Tensor:
    """How many more samples lie below each one than above it: 2 rank - (K-1).

    Equal samples count for neither, so that they share their mean rank. Each pair is
    looked at once, all pairs of rows that are d apart at a time.

    Args:
        block: The samples.
        buffer: Of the same shape, overwritten.
        kind: Integer type of the result.

    Shape:
        (K, ...) to the same.
    """
    excess, order = (torch.zeros_like(block, dtype=kind) for _ in range(2))
    for d in range(1, len(block)):
        apart = torch.sub(block[d:], block[:-d], out=buffer[d:])
        sign = order[d:].copy_(apart.sign_())
        excess[d:] += sign
        excess[:-d] -= sign
    return excess
