"""A stop when the training diverges, before anything not finite is saved."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from math import inf

import mmengine.dist as dist
import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapperDict
from torch import Tensor

from mmagic_mr.checks import Count, Natural, checked
from mmagic_mr.errors import UserError
from mmagic_mr.host import HOOKS, unwrap

NEVER = torch.iinfo(torch.int64).max
# From 65536 it takes forty updates without a finite gradient to come down to this.
LEAST_SCALE = 2.0**-24


class FirstNonFinite:
    """For named values, the first iteration at which each was not finite.

    Noting is work for the device alone; `read` waits for it.

    Example:
        >>> watch = FirstNonFinite()
        >>> watch.note(1, ['a', 'b'], torch.tensor([0.0, 1.0]))
        >>> watch.read()
        >>> watch.note(2, ['a', 'b'], torch.tensor([0.0, torch.nan]))
        >>> watch.note(3, ['a', 'b'], torch.tensor([torch.inf, torch.nan]))
        >>> watch.read()
        (2, ['b'])
    """

    def __init__(self) -> None:
        self._first: dict[tuple[str, ...], Tensor] = {}

    def note(self, iteration: int, names: Sequence[str], values: Tensor) -> None:
        """Look at values (N,) with N names."""
        now = torch.where(values.isfinite(), NEVER, iteration)
        before = self._first.setdefault(tuple(names), now)
        self._first[tuple(names)] = torch.minimum(before, now)

    def read(self) -> tuple[int, list[str]] | None:
        """The earliest iteration, and what was not finite then; None: nothing."""
        if not self._first:
            return None
        names = [name for group in self._first for name in group]
        first = torch.cat(list(self._first.values())).tolist()
        earliest = min(first)
        if earliest == NEVER:
            return None
        both = zip(names, first, strict=True)
        return earliest, [name for name, at in both if at == earliest]


@HOOKS.register_module()
class DivergenceHook(Hook):
    """Stop at the first loss or weight that is not finite.

    The losses of every iteration are looked at on the device, without waiting for it.
    Every ``interval`` iterations, and before a checkpoint is due, the result is read,
    together with the weights and buffers of the model: the run stops with the name of
    the term and its iteration, and on all ranks at once. A gradient that is not finite
    is found by the weights that it makes. Nothing that is not finite is ever saved:
    whoever saves, each checkpoint is looked through before it is written.

    Mixed precision has infinite gradients in the normal course of things, and leaves
    such updates out by itself. ``max_skips`` does the same without it; like there, each
    update then waits for its gradients. In both cases an endless row of updates that
    are left out stops the run.

    Args:
        interval: iterations between two looks at the result.
        max_skips: updates of a network in a row that may be left out because their
            gradients are not finite. 0: none is.

    Raises:
        UserError: when built, a number out of range; in training, it diverges.

    Example:
        >>> hook = DivergenceHook(interval=50, max_skips=3)
        >>> hook.interval
        50
    """

    # After the log of losses, before pictures and checkpoints.
    priority = 'BELOW_NORMAL'

    @checked
    def __init__(self, interval: Count = 50, max_skips: Natural = 0) -> None:
        self.interval, self.max_skips = interval, max_skips
        self._watch = FirstNonFinite()
        self._skips: dict[str, int] = {}  # of each network, in a row
        self._skipped = False  # in this iteration

    def before_train(self, runner) -> None:
        for name, wrapper in _wrappers(runner).items():
            # A scaler steps with finite gradients only.
            if self.max_skips and not hasattr(wrapper, 'loss_scaler'):
                self._guard(runner, name, wrapper.optimizer)

    def _guard(self, runner, name: str, optimizer: torch.optim.Optimizer) -> None:
        def before_step(*_) -> None:
            parameters = [p for g in optimizer.param_groups for p in g['params']]
            gradients = [p.grad for p in parameters if p.grad is not None]
            if not gradients or _largest(gradients).isfinite().all():
                self._skips[name] = 0
                return
            row = self._skips[name] = self._skips.get(name, 0) + 1
            if row > self.max_skips:
                self._stop(runner, runner.iter + 1, [f'gradients of {name}'])
            print_log(
                f'DivergenceHook: gradients of {name} are not finite at iteration '
                f'{runner.iter + 1}: the update is left out ({row} in a row)',
                'current',
                logging.WARNING,
            )
            self._skipped = True
            for parameter in parameters:
                parameter.grad = None  # An optimizer passes over these.

        optimizer.register_step_pre_hook(before_step)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        losses = {} if self._skipped else _losses(outputs or {})
        self._skipped = False
        if losses:
            values = torch.stack(list(losses.values()))
            self._watch.note(runner.iter + 1, list(losses), values)
        if self.every_n_train_iters(runner, self.interval) or _saves_now(self, runner):
            self._judge(runner)

    def _judge(self, runner) -> None:
        """Stop on all ranks if there is something not finite on one."""
        weights = dict(_tensors(unwrap(runner.model).state_dict()))
        if weights:
            self._watch.note(runner.iter + 1, list(weights), _largest(weights.values()))
        found = [first for first in dist.all_gather_object(self._watch.read()) if first]
        if found:
            self._stop(runner, *min(found))
        for name, wrapper in _wrappers(runner).items():
            scaler = getattr(wrapper, 'loss_scaler', None)
            if scaler is not None and scaler.get_scale() < LEAST_SCALE:
                self._stop(runner, runner.iter + 1, [f'scaled gradients of {name}'])

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Look through what is about to be written, weights and optimizer's state."""
        # On rank 0 alone: no word to the others. They stop in `_judge`.
        parts = {key: checkpoint.get(key) for key in ('state_dict', 'optimizer')}
        for name, tensor in _tensors(parts):
            if not tensor.isfinite().all():
                self._stop(runner, runner.iter + 1, [name])

    def _stop(self, runner, iteration: int, names: list[str]) -> None:
        more = f' and {len(names) - 3} more' if len(names) > 3 else ''
        rates = [
            f'optim_wrapper.{name}.optimizer.lr'
            if name
            else 'optim_wrapper.optimizer.lr'
            for name in _wrappers(runner)
        ]
        last = runner.message_hub.runtime_info.get('last_ckpt')
        go_on = (
            f'go on from {last}, which is finite: with --resume, or, with another '
            f'learning rate, with load_from={last} (a resumed run has its old one)'
            if last
            else 'start again (no checkpoint was written yet)'
        )
        raise UserError(
            f'the training diverged: {", ".join(names[:3])}{more} not finite at '
            f'iteration {iteration}. Lower the learning rate ({", ".join(rates)}) or '
            f'the loss_weight of that term, or clip gradients (clip_grad); then {go_on}'
        )


def _wrappers(runner) -> dict:
    """Optimizer wrappers by the name of their network; a single one has none."""
    wrapper = runner.optim_wrapper
    if isinstance(wrapper, OptimWrapperDict):
        return dict(wrapper.items())
    return {'': wrapper}


def _losses(outputs: Mapping) -> dict[str, Tensor]:
    """Of what a training step returns, the numbers that mmengine takes for losses."""
    return {
        name: value.detach().reshape(())
        for name, value in outputs.items()
        if 'loss' in name and isinstance(value, Tensor) and value.numel() == 1
    }


def _largest(tensors) -> Tensor:
    """The largest absolute value of each tensor, NaN where there is one."""
    return torch.stack(torch._foreach_norm(list(tensors), inf))


def _tensors(state, name: str = '') -> Iterator[tuple[str, Tensor]]:
    """The floating-point tensors of nested dicts and lists, by their full names."""
    if isinstance(state, Tensor):
        if state.is_floating_point() and state.numel():
            yield name, state
    elif isinstance(state, Mapping | list | tuple):
        items = state.items() if isinstance(state, Mapping) else enumerate(state)
        for key, value in items:
            yield from _tensors(value, f'{name}.{key}' if name else str(key))


def _saves_now(hook: Hook, runner) -> bool:
    """Whether a checkpoint is due after this iteration."""
    return hook.is_last_train_iter(runner) or any(
        other.interval > 0 and hook.every_n_train_iters(runner, other.interval)
        for other in runner.hooks
        if isinstance(other, CheckpointHook) and not other.by_epoch
    )
