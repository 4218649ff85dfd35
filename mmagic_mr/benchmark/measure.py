"""Counts, which no machine changes, and times, which are compared in turn alone."""

import statistics
import time
import weakref
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from mmagic_mr.allocator import keep_freed_memory
from mmagic_mr.benchmark.schemes import AUTHORS, REPEATED, Scheme
from mmagic_mr.models.batch import Batch

UPDATE, ITERATION = 'generator update', 'whole iteration'
Row = dict[str, Any]


class _Kept:
    def __init__(self, tensor: Tensor):
        self.tensor = tensor


class SavedBytes(saved_tensors_hooks):
    """Context that knows the most bytes that were kept at once for backward passes.

    Each storage counts once, however many tensors share it.

    Example:
        >>> x = torch.ones(1024, requires_grad=True)
        >>> with SavedBytes() as saved:
        ...     for _ in range(3):
        ...         x.exp().sum().backward()
        >>> saved.peak
        4096
    """

    def __init__(self):
        super().__init__(self._keep, lambda kept: kept.tensor)
        self._users: dict[int, int] = {}
        self._now = self.peak = 0

    def __enter__(self):
        super().__enter__()
        return self

    def _keep(self, tensor: Tensor) -> _Kept:
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if not self._users.get(place):
            self._now += size
            self.peak = max(self.peak, self._now)
        self._users[place] = self._users.get(place, 0) + 1
        kept = _Kept(tensor)
        weakref.finalize(kept, self._release, place, size)
        return kept

    def _release(self, place: int, size: int) -> None:
        self._users[place] -= 1
        if not self._users[place]:
            self._now -= size


def count(function: Callable[[], Any]) -> tuple[int, int]:
    """FLOP, and most bytes that were kept at once for a backward pass."""
    with FlopCounterMode(display=False) as flops, SavedBytes() as saved:
        function()
    return flops.get_total_flops(), saved.peak


def peak_memory(function: Callable[[], Any], device: torch.device) -> int | None:
    """Most bytes that were allocated on a GPU; None: it is none."""
    if device.type != 'cuda':
        return None
    torch.cuda.reset_peak_memory_stats(device)
    function()
    return torch.cuda.max_memory_allocated(device)


def rounds(
    functions: Mapping[str, Callable[[], Any]],
    repeats: int,
    device: torch.device,
    kept: Collection[str] = (),
) -> dict[str, list[float]]:
    """Seconds of each function in each round; they run in turn, so that whatever else
    the machine does hits all of them. A first round is not counted.

    Args:
        functions: By name.
        repeats: Rounds.
        device: What is waited for.
        kept: Names of those that keep freed memory; off the clock, each runs once to
            have some, since those before it keep none.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(repeats + 1):
        for name, function in functions.items():
            if kept:
                keep_freed_memory(name in kept)
            if name in kept:
                function()
            start = time.perf_counter()
            function()
            if device.type == 'cuda':
                torch.cuda.synchronize(device)
            if turn:
                times[name].append(time.perf_counter() - start)
    if kept:
        keep_freed_memory(False)
    return times


def ratio(over: list[float], times: list[float]) -> float:
    """How many times as long the one takes, median of the rounds.

    Example:
        >>> ratio([2.0, 4.0, 3.0], [1.0, 1.0, 2.0])
        2.0
    """
    return statistics.median(a / b for a, b in zip(over, times, strict=True))


def compare(
    made: list[Scheme], batch: Batch, data: dict, repeats: int, device: torch.device
) -> list[Row]:
    """A row for each scheme and kind of step.

    Args:
        made: By `schemes`.
        batch: Of the generator's update.
        data: Of a whole iteration, as a data loader gives it.
        repeats: Rounds on the clock; 0: counts alone.
        device: That all of it is on.

    Returns:
        Rows with ``name``, ``what``, ``gflop``, ``saved_mib``, ``peak_mib`` (None: no
        GPU), ``seconds``, ``ratio_to_repeated`` and ``ratio_to_authors`` (how many
        times as long those take; None without a clock), and, of updates, ``loss`` and
        ``gradient_error``, relative to repeated inputs.
    """
    rows = []
    kinds = {UPDATE: _updates(made, batch), ITERATION: _iterations(made, data)}
    reference = None
    for what, functions in kinds.items():
        for scheme in made:
            call, parts = functions[scheme.name]
            flops, saved = count(call)
            row: Row = dict(name=scheme.name, what=what)
            row |= dict(gflop=flops / parts / 1e9, saved_mib=saved / 2**20)
            if what == UPDATE:
                row['loss'] = float(scheme.update(batch))
                found = scheme.gradients()
                reference = found if reference is None else reference
                error = (found - reference).norm() / reference.norm()
                row['gradient_error'] = float(error)
            rows.append(row)
    for scheme in made:
        scheme.finish()
    kept = {scheme.name for scheme in made if scheme.keep_memory}
    for what, functions in kinds.items():
        calls = {name: call for name, (call, _) in functions.items()}
        times = rounds(calls, repeats, device, kept) if repeats else {}
        for row in rows:
            if row['what'] == what:
                call, parts = functions[row['name']]
                peak = peak_memory(call, device)
                row['peak_mib'] = peak and peak / 2**20
                row |= _times(times, row['name'], parts)
    return rows


def _updates(made, batch):
    return {s.name: (lambda s=s: s.update(batch), 1) for s in made}


def _iterations(made, data):
    return {
        s.name: (
            lambda s=s: s.iterations(data),
            getattr(s.model, 'gen_updates_per_disc', 1),
        )
        for s in made
    }


def _times(times: dict[str, list[float]], name: str, parts: int) -> Row:
    if not times:
        return dict(seconds=None, ratio_to_repeated=None, ratio_to_authors=None)
    return dict(
        seconds=statistics.median(times[name]) / parts,
        ratio_to_repeated=ratio(times[REPEATED], times[name]),
        ratio_to_authors=ratio(times[AUTHORS], times[name]),
    )


def markdown(rows: list[Row]) -> str:
    """The rows as a table, a block for each kind of step."""
    head = (
        '| {} | GFLOP | saved for backward [MiB] | CUDA peak [MiB] | s | '
        'repeated / this | authors / this | loss | gradient, relative error |\n'
        '|---|---|---|---|---|---|---|---|---|'
    )
    lines = []
    for what in UPDATE, ITERATION:
        lines.append(head.format(what))
        for row in rows:
            if row['what'] == what:
                cells = (
                    row['name'],
                    f'{row["gflop"]:.4g}',
                    f'{row["saved_mib"]:.4g}',
                    _cell(row['peak_mib'], '.4g'),
                    _cell(row['seconds'], '.3g'),
                    _cell(row['ratio_to_repeated'], '.2f'),
                    _cell(row['ratio_to_authors'], '.2f'),
                    _cell(row.get('loss'), '.5g'),
                    _cell(row.get('gradient_error'), '.1e'),
                )
                lines.append(f'| {" | ".join(cells)} |')
        lines.append('')
    return '\n'.join(lines)


def _cell(value: float | None, form: str) -> str:
    return '' if value is None else format(value, form)
