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
    # torch does not annotate it
    loss.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]


def updates_of(loss: nn.Module) -> int:
    """The count, for a decision of Python: the device is asked once, not each time.

    Example:
        >>> loss = nn.L1Loss()
        >>> count_updates(loss)
        >>> _ = loss(torch.ones(1), torch.ones(1))
        >>> updates_of(loss)
        1
    """
    known: int | None = vars(loss).get('_known_updates')
    if known is None:
        known = vars(loss)['_known_updates'] = int(_buffer(loss))
    return known


def _buffer(loss: nn.Module) -> Tensor:
    assert isinstance(loss.updates, Tensor)
    return loss.updates


def _count(loss: nn.Module, args: Any, output: Any) -> None:
    if loss.training:
        _buffer(loss).add_(1)
        known: int | None = vars(loss).get('_known_updates')
        vars(loss)['_known_updates'] = None if known is None else known + 1


def _forget(loss: nn.Module, incompatible: Any) -> None:
    vars(loss)['_known_updates'] = None
