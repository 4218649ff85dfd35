"""Losses that change as a training goes on."""

from typing import Any

import torch
from torch import Tensor, nn


def count_updates(loss: nn.Module) -> None:
    """Give a loss a buffer ``updates``: its evaluations in training so far.

    A buffer is in the checkpoint, so that a resumed training goes on from there.

    Example:
        >>> loss = nn.L1Loss()
        >>> count_updates(loss)
        >>> _ = loss(torch.ones(1), torch.ones(1))
        >>> _ = loss.eval()(torch.ones(1), torch.ones(1))
        >>> loss.updates
        tensor(1)
    """
    loss.register_buffer('updates', torch.zeros((), dtype=torch.int64))
    loss.register_forward_hook(_count)


def _count(loss: nn.Module, args: Any, output: Any) -> None:
    if loss.training:
        assert isinstance(loss.updates, Tensor)
        loss.updates += 1
