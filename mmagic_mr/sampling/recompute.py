"""Activation checkpointing: the context of a forward pass, also in the backward pass.

``torch.utils.checkpoint`` throws activations away and runs a part of the network again
in the backward pass, when the ``with`` block of the forward pass is long over. Without
care the noise would be another one and per-input rows would no longer be shared. So
each checkpoint takes the contexts that are active along, and enters them again around
the recomputation, for ``use_reentrant=False`` and ``True`` alike.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from contextvars import ContextVar
from typing import Any, cast

import torch
import torch.utils.checkpoint as torch_checkpoint

_active: ContextVar[tuple[Carried, ...]] = ContextVar('active', default=())


class Carried:
    """A context that checkpoints carry into their recomputation."""

    def activate(self) -> None:
        """To be called where the context is entered."""
        _carry_through_checkpoints()
        _active.set((*_active.get(), self))

    def deactivate(self) -> None:
        """To be called where the context is left: the last one entered is the first."""
        _active.set(_active.get()[:-1])

    def snapshot(self) -> Callable[[], AbstractContextManager[Any]]:
        """What restores the context as it is now; called where a checkpoint begins."""
        raise NotImplementedError


def active_contexts() -> tuple[Carried, ...]:
    """The contexts of this thread, the innermost one last."""
    return _active.get()


def _in_the_same_contexts(function: Callable[..., Any]) -> Callable[..., Any]:
    snapshots = [context.snapshot() for context in active_contexts()]

    def again(*args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            for restored in snapshots:
                stack.enter_context(restored())
            return function(*args, **kwargs)

    return again


@functools.cache  # once in a process
def _carry_through_checkpoints() -> None:
    # PyTorch has no hook that all checkpoints pass, whoever calls them: both kinds are
    # wrapped where `checkpoint` looks them up. Outside our contexts nothing changes.
    name = '_checkpoint_without_reentrant_generator'
    if hasattr(torch_checkpoint, f'{name}_impl'):  # torch 2.14
        name = f'{name}_impl'
    generator = getattr(torch_checkpoint, name)

    @functools.wraps(generator)
    def without_reentrant(fn: Any, *args: Any, **kwargs: Any) -> Iterator[None]:
        if active_contexts() and torch.is_grad_enabled():
            fn = _in_the_same_contexts(fn)
        return generator(fn, *args, **kwargs)  # type: ignore[no-any-return]

    setattr(torch_checkpoint, name, without_reentrant)

    function = cast(Any, torch_checkpoint.CheckpointFunction)
    apply = function.apply

    def reentrant(fn: Any, preserve_rng_state: bool, *args: Any) -> Any:
        if active_contexts() and torch.is_grad_enabled():
            # Its first call is the forward pass itself, in the contexts as they are.
            calls = iter([fn])
            again = _in_the_same_contexts(fn)
            args = tuple(getattr(arg, 'materialize', lambda a=arg: a)() for arg in args)
            return apply(
                lambda *inputs: next(calls, again)(*inputs), preserve_rng_state, *args
            )
        return apply(fn, preserve_rng_state, *args)

    function.apply = staticmethod(reentrant)
