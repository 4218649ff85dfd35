"""One process against several, of the same update: the same global batch."""

import copy
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import MMSeparateDistributedDataParallel
from mmengine.utils import import_modules_from_strings
from torch import distributed as dist
from torch import multiprocessing

from mmagic_mr.benchmark.data import training_data
from mmagic_mr.benchmark.measure import ITERATION, UPDATE, Row, count, ratio
from mmagic_mr.benchmark.run import build
from mmagic_mr.benchmark.schemes import Scheme, wrappers_of
from mmagic_mr.errors import UserError

ONE = 'one process'


@dataclass(frozen=True)
class Job:
    """What all processes measure.

    Attributes:
        config: Of a run, as a plain dict.
        inputs: Of the generator's update, of all processes together.
        size: Side of the images that are generated; None: the paper's.
        processes: How many.
        repeats: Rounds on the clock.
        device: 'cpu', or 'cuda': a GPU for each process.
        threads: Of one process alone; several have them together.
    """

    config: dict
    inputs: int
    size: int | None
    processes: int
    repeats: int
    device: str
    threads: int

    @property
    def ways(self) -> dict[str, str | None]:
        """What is compared, by name: how the work is shared out."""
        ways = {
            f'{w} over {self.processes} processes': w for w in ('inputs', 'samples')
        }
        return {ONE: None, **ways}


def measure_processes(
    cfg, inputs: int, size: int | None, processes: int, repeats: int, device: str
) -> list[Row]:
    """Rows of one process and of several, by both ways to share the work out.

    All run in turn: while one works alone the others wait.

    Args:
        cfg: mmengine's Config of a run.
        inputs, size, processes, repeats, device: See `Job`.

    Returns:
        Rows with ``name``, ``what``, ``processes``; ``gflop`` and ``saved_mib`` of one
        of the processes; ``seconds``, ``inputs_per_second``, ``ratio_to_one`` (None
        without a clock); and, of updates, ``gradient_error``, relative to one process.

    Raises:
        UserError: What is to be shared out is no multiple of the processes, or there
            are fewer GPUs.
    """
    k = cfg.model.get('num_samples') or 10
    for name, number in ('--inputs', inputs), ('--num-samples', k):
        if number % processes:
            raise UserError(
                f'--processes {processes}: {name} {number} is no multiple of it, and '
                'inputs and samples are shared out evenly: change one of them'
            )
    if device == 'cuda' and torch.cuda.device_count() < processes:
        raise UserError(
            f'--processes {processes}: there are {torch.cuda.device_count()} GPUs, and '
            'each process needs one: take fewer, or --device cpu'
        )
    job = Job(
        cfg.to_dict(),
        *(inputs, size, processes, repeats, device),
        torch.get_num_threads(),
    )
    # A fork has all modules, and a GPU allows none
    start = 'fork' if device == 'cpu' else 'spawn'
    # One more than work together: it is alone, and knows nothing of a group
    barrier = multiprocessing.get_context(start).Barrier(processes + 1)
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.start_processes(
            _work, (job, folder, barrier), nprocs=processes + 1, start_method=start
        )
        files = [Path(folder, name) for name in (_file(processes), _file(0))]
        return _merged([torch.load(file) for file in files], job)


def _file(rank: int) -> str:
    return f'rank{rank}.pth'


def _work(rank: int, job: Job, folder: str, barrier) -> None:
    alone = rank == job.processes
    if job.device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = ''  # mmengine would take a GPU
        device = torch.device('cpu')
    else:
        device = torch.device('cuda', 0 if alone else rank)
        torch.cuda.set_device(device)
    torch.set_num_threads(
        job.threads if alone else max(1, job.threads // job.processes)
    )
    if not alone:
        dist.init_process_group(
            'gloo' if job.device == 'cpu' else 'nccl',
            f'file://{folder}/door',
            rank=rank,
            world_size=job.processes,
        )
    found = _Member(job, rank, device).measure(barrier)
    if alone or rank == 0:
        torch.save(found, Path(folder, _file(rank)))
    barrier.wait()
    if not alone:
        dist.destroy_process_group()


class _Member:
    """One of the processes."""

    def __init__(self, job: Job, rank: int, device: torch.device):
        self.job, self.rank, self.device = job, rank, device
        self.alone = rank == job.processes
        cfg = Config(job.config)
        import_modules_from_strings(**cfg.custom_imports)
        batch_size = cfg.train_dataloader.get('batch_size') or job.inputs
        times = batch_size // (cfg.model.get('gen_batch_size') or batch_size)
        self.total = max(1, times) * job.inputs
        self.schemes, self.data = {}, {}
        for name, way in job.ways.items():
            if (way is None) == self.alone:
                self._add(copy.deepcopy(cfg), name, way)

    def _add(self, cfg, name: str, way: str | None) -> None:
        """A model that shares its work out in this way; None: that does not."""
        job = self.job
        own = job.inputs // job.processes if way == 'inputs' else job.inputs
        cfg.model.distribute, cfg.model.gen_batch_size = way or 'inputs', own
        model, size = build(cfg, job.size, self.device)
        data = training_data(model, self.total, size)
        if way == 'inputs':
            # Those of the generator's update, then those of the discriminator's alone
            first, others = slice(job.inputs), slice(job.inputs, None)
            data = {
                key: self._own(rows[first]) + self._own(rows[others])
                for key, rows in data.items()
            }
        if way:
            MMSeparateDistributedDataParallel(model)  # wraps the parts in place
        model._iter = 0  # as in `schemes`: no balance is measured
        self.numbers = dict(size=size, num_samples=model.num_samples)
        self.schemes[name] = Scheme(name, model, wrappers_of(model, {}))
        self.data[name] = data

    def _own(self, rows: list) -> list:
        each = len(rows) // self.job.processes
        return rows[self.rank * each : (self.rank + 1) * each]

    def measure(self, barrier) -> dict:
        """Rows of this process's schemes, seconds, and gradients, by name."""
        rows, seconds, gradients = [], {}, {}
        for what in UPDATE, ITERATION:
            for name in self.job.ways:
                call = self._call(name, what)
                (flops, saved), _ = self._turn(barrier, call and partial(count, call))
                if call is None:
                    continue
                row = dict(name=name, what=what, inputs=self.job.inputs, **self.numbers)
                row['processes'] = 1 if self.alone else self.job.processes
                rows.append(row | dict(gflop=flops / 1e9, saved_mib=saved / 2**20))
                if what == UPDATE:
                    gradients[name] = self.schemes[name].gradients().cpu()
            for turn in range(self.job.repeats and self.job.repeats + 1):
                for name in self.job.ways:
                    call = self._call(name, what)
                    time_ = self._turn(barrier, call)[1]
                    if turn and call:  # the first one is not counted
                        seconds.setdefault(f'{what} {name}', []).append(time_)
        return dict(rows=rows, seconds=seconds, gradients=gradients)

    def _call(self, name: str, what: str) -> Callable | None:
        if name not in self.schemes:
            return None
        scheme, data = self.schemes[name], self.data[name]
        model = scheme.model
        if what == ITERATION:
            return lambda: scheme.iterations(data)
        ready = model.data_preprocessor(copy.deepcopy(data), True)
        batch = model.make_batch(ready).first(model.gen_batch_size)
        return lambda: scheme.update(batch)

    def _turn(self, barrier, call: Callable | None) -> tuple:
        """Result and seconds; who has no call waits."""
        torch.manual_seed(0)  # of which the noise is a function
        barrier.wait()
        start, result = time.perf_counter(), (0, 0)
        if call is not None:
            result = call()
            if self.device.type == 'cuda':
                torch.cuda.synchronize(self.device)
            if not self.alone:
                dist.barrier()
        seconds = time.perf_counter() - start
        barrier.wait()
        return result, seconds


def _merged(found: list[dict], job: Job) -> list[Row]:
    seconds = found[0]['seconds'] | found[1]['seconds']
    gradients = found[0]['gradients'] | found[1]['gradients']
    rows = sorted(
        found[0]['rows'] + found[1]['rows'], key=lambda row: row['what'] != UPDATE
    )
    for row in rows:
        times = seconds.get(f'{row["what"]} {row["name"]}')
        row |= dict(seconds=None, inputs_per_second=None, ratio_to_one=None)
        if times:
            row['seconds'] = statistics.median(times)
            row['inputs_per_second'] = job.inputs / row['seconds']
            row['ratio_to_one'] = ratio(seconds[f'{row["what"]} {ONE}'], times)
        if row['what'] == UPDATE:
            one = gradients[ONE]
            error = (gradients[row['name']] - one).norm() / one.norm()
            row['gradient_error'] = float(error)
    return rows


def processes_markdown(rows: list[Row]) -> str:
    """The rows as a table, a block for each kind of step."""
    lines = []
    for what in UPDATE, ITERATION:
        lines.append(
            f'| {what} | GFLOP of a process | saved for backward [MiB] of a process | '
            's | inputs / s | one process / this | gradient, relative error |\n'
            '|---|---|---|---|---|---|---|'
        )
        for row in (row for row in rows if row['what'] == what):
            cells = [row['name'], f'{row["gflop"]:.4g}', f'{row["saved_mib"]:.4g}']
            forms = dict(seconds='.3g', inputs_per_second='.3g', ratio_to_one='.2f')
            for key, form in (forms | dict(gradient_error='.1e')).items():
                value = row.get(key)
                cells.append('' if value is None else f'{value:{form}}')
            lines.append(f'| {" | ".join(cells)} |')
        lines.append('')
    return '\n'.join(lines)
