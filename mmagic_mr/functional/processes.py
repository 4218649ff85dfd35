"""Means over the inputs of all processes of a distributed run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

_together: ContextVar[bool] = ContextVar('_together', default=False)


@contextmanager
def over_all_processes() -> Iterator[None]:
    """Context in which `process_mean` is over all processes.

    Each process computes its losses from inputs of its own, and the gradients are
    averaged afterwards. Without this context a mean inside a mask is one over the
    elements of a process, and the average of these is another number than the mean over
    all of them. What is computed here is to be the same in all processes, in the same
    order: they wait for each other.

    Example:
        >>> with over_all_processes():  # there is one here
        ...     process_mean(torch.tensor(2.0))
        tensor(2.)
    """
    token = _together.set(True)
    try:
        yield
    finally:
        _together.reset(token)


def process_mean(value: Tensor) -> Tensor:
    """Mean of a number over the processes, inside `over_all_processes`.

    Elsewhere, and in a run of one process, it is the number itself. Its gradient is
    right where gradients are averaged over the processes: that of the mean of their
    losses.

    Args:
        value: Of this process, of one shape in all of them.

    Example:
        >>> process_mean(torch.tensor(2.0))
        tensor(2.)
    """
    if not (_together.get() and dist.is_available() and dist.is_initialized()):
        return value
    if dist.get_world_size() == 1:
        return value
    apply: Callable[..., Tensor] = _Mean.apply
    return apply(value)


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return _mean(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _mean(gradient)


def _mean(value: Tensor) -> Tensor:
    total = value.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total / dist.get_world_size()
