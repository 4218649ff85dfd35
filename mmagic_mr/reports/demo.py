"""A demo from end to end: its trainings, their scores, the table and the picture."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmagic_mr.data.synthetic.tasks import Task
from mmagic_mr.errors import UserError
from mmagic_mr.io import write_text
from mmagic_mr.reports.judge import (
    NUM_SAMPLES,
    answers_of,
    draw_samples,
    score_ideal,
    score_outputs,
    validation_set,
)

COLUMNS = {
    'std_ratio': 'sample std / true std',
    'mean_error': 'error of sample mean [std]',
    'modes': 'modes covered',
    'off_mode': 'distance to a mode [std]',
    'pred_mean_error': 'error of predicted mean [std]',
    'pred_var_error': 'error of predicted variance',
}
PROTOCOL = """\
{count} validation {scored}, {num_samples} samples each, against the true mean mu,
variance s^2 and four modes. Sample std / true std: root of the mean sample variance
over the mean s^2. Errors of means: root mean square of {unit} over pixels and
channels. Modes covered: a sample counts for its nearest mode (root mean square) if it
is nearer than half the distance from that mode to the next; a mode is covered if a
sample counts for it. Distance to a mode: of a sample from its nearest one. Error of
the predicted variance: |predicted - s^2| / |s^2|, Euclidean norms.
"""
SHORT = {
    'train_cfg.max_iters': 20,
    'train_cfg.val_interval': 20,
    'custom_hooks.0.max_iters': 20,
    'custom_hooks.0.val_interval': 10,
    'default_hooks.logger.interval': 5,
}


@dataclass(frozen=True)
class Demo:
    """One demo, run once.

    Attributes:
        task: one of TASKS.
        root: folder that holds ``tools`` and ``configs``.
        data: folder of the data set.
        out: folder of the results.
        seed: of the training.
        short: a few iterations: tries the machinery, the numbers mean nothing.
    """

    task: Task
    root: Path
    data: str
    out: str
    seed: int = 0
    short: bool = False

    def train(self, report: Callable[[str], None]) -> None:
        """Trains every method, at once where there are cores, and says how it goes.

        Args:
            report: called with a line whenever there is progress.

        Raises:
            UserError: a training failed; with the end of its output.
        """
        methods = self.task.methods
        cores = len(os.sched_getaffinity(0))
        # One with a predictor takes longest
        waiting = sorted(methods, key=lambda name: 'proxy' not in methods[name])
        running = {}
        last = None
        try:
            while waiting or running:
                while waiting and len(running) < cores:
                    name = waiting.pop(0)
                    running[name] = self._start_training(methods[name])
                time.sleep(2)
                lines = [f'{name}: {self.progress(methods[name])}' for name in running]
                if lines != last:
                    report(f'[{time.strftime("%H:%M:%S")}] ' + ' | '.join(lines))
                    last = lines
                for name, process in list(running.items()):
                    if process.poll() is None:
                        continue
                    del running[name]
                    if process.returncode:
                        self._fail(name)
        finally:
            for process in running.values():
                process.terminate()

    def _start_training(self, config):
        """tools/train.py in a process of its own; its output goes to a file."""
        folder = Path(self.out, config)
        folder.mkdir(parents=True, exist_ok=True)
        options = {'randomness.seed': self.seed}
        for split in 'train', 'val', 'test':
            options[f'{split}_dataloader.dataset.data_root'] = self.data
        if self.task.iterations:
            options |= shorter(self._config_file(config), self.task.iterations)
        if self.short:
            has_predictor = 'proxy' in config
            options |= {
                key: value
                for key, value in SHORT.items()
                if has_predictor or not key.startswith('custom_hooks')
            }
        command = [
            sys.executable,
            str(self.root / 'tools' / 'train.py'),
            str(self._config_file(config)),
            '--work-dir',
            str(folder),
            *(['--fast'] if self.task.fast else []),
            '--cfg-options',
            *(f'{key}={value}' for key, value in options.items()),
        ]
        cores = len(os.sched_getaffinity(0))
        threads = max(1, cores // len(self.task.methods))
        with open(folder / 'output.txt', 'w') as output:
            return subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, 'OMP_NUM_THREADS': str(threads)},
            )

    def _config_file(self, config):
        return self.root / 'configs' / f'{config}.py'

    def _fail(self, name):
        output = Path(self.out, self.task.methods[name], 'output.txt')
        tail = '\n'.join(output.read_text().splitlines()[-15:])
        raise UserError(f'the training of {name} failed; the end of {output}:\n{tail}')

    def progress(self, config: str) -> str:
        """The last thing that a training's output says of its progress."""
        text = Path(self.out, config, 'output.txt').read_text(errors='replace')
        found = re.findall(
            r'(Iter\(train\) \[ *\d+/\d+\]).*?(eta: [\d:]+)'
            r'|(predictor \[\d+/\d+\])',
            text,
        )
        return ' '.join(filter(None, found[-1])) if found else 'starting'

    def evaluate(self) -> tuple[dict, int]:
        """Scores the trained models and draws ``demo.png``.

        Returns:
            The table, column by method, and the number of validation inputs.
        """
        from mmengine.config import Config

        from mmagic_mr.inference import load_model
        from mmagic_mr.reports.collage import collage, save_picture

        task = self.task
        outputs, answers = {}, []
        for name, config in task.methods.items():
            cfg = Config.fromfile(self._config_file(config))
            dataset = validation_set(cfg, self.data)
            answers = answers or answers_of(task, dataset)
            folder = Path(self.out, config)
            last = (folder / 'last_checkpoint').read_text().strip()
            model = load_model(cfg, str(folder / Path(last).name))
            outputs[name] = draw_samples(model, dataset)
        fields = dict(input_key=model.input_field, target_key=model.target_field)
        table = {'perfect sampler': score_ideal(answers, task)}
        table |= {
            name: score_outputs(out, answers, task) for name, out in outputs.items()
        }
        save_picture(
            collage({name: samples[:4] for name, samples in outputs.items()}, **fields),
            Path(self.out, 'demo.png'),
        )
        return table, len(answers)

    def run(self, report: Callable[[str], None]) -> tuple[str, list[str]]:
        """All of it: data, training, scores, ``demo.{md,json,png}``.

        Args:
            report: as for :meth:`train`.

        Returns:
            The text of ``demo.md``, and a line for each number that a full run should
            have reached and this one did not.
        """
        start = time.time()
        few = dict(num_train=64) if self.short else {}
        self.task.write_data(self.data, **few)
        report(f'data: {self.data}; work folders: {self.out}')
        self.train(report)
        table, count = self.evaluate()
        minutes = (time.time() - start) / 60
        text = as_text(table, self.task, count, self.seed, minutes)
        write_text(Path(self.out, 'demo.md'), text)
        summary = dict(
            seed=self.seed, minutes=round(minutes, 2), short=self.short, table=table
        )
        write_text(Path(self.out, 'demo.json'), json.dumps(summary, indent=1))
        return text, missed(table, self.task)


def shorter(config: Path, iterations: int) -> dict[str, int]:
    """Options of tools/train.py for a run of fewer iterations than its config has.

    Args:
        config: File of the run.
        iterations: Of the new run.

    Returns:
        Key and value: the length; begin and end of each schedule, in proportion.
    """
    from mmengine.config import Config

    cfg = Config.fromfile(config)
    share = iterations / cfg.train_cfg.max_iters
    options = {f'train_cfg.{key}': iterations for key in ('max_iters', 'val_interval')}
    for name, schedules in cfg.param_scheduler.items():
        for index, schedule in enumerate(schedules):
            place = f'param_scheduler.{name}.{index}'
            for key in 'begin', 'end':
                options[f'{place}.{key}'] = round(schedule[key] * share)
    return options


def as_text(table, task, count, seed, minutes):
    """The table and what its numbers mean.

    Args:
        table: scores by method and column.
        task: one of TASKS.
        count: validation inputs.
        seed: of the training.
        minutes: that the run took.
    """
    protocol = PROTOCOL.format(
        count=count,
        scored=task.scored,
        num_samples=NUM_SAMPLES,
        unit='(mean - mu) / s' if task.per_pixel else '(mean - mu) / root mean s^2',
    )
    return (
        f'{as_markdown(table, task)}\n\nIn brackets: what a full run must reach.\n'
        f'{protocol}Seed {seed}, {minutes:.1f} minutes.\n'
    )


def as_markdown(table, task):
    """The table, with the bounds that a full run must keep."""
    columns = COLUMNS | task.check_columns

    def cell(name, column):
        value = table[name].get(column)
        if value is None:
            return ''
        bounds = task.expected.get(name, {}).get(column)
        if bounds is None:
            return f'{value:.2f}'
        return f'{value:.2f} ({bounds[0]:g} to {bounds[1]:g})'

    rows = [['', *columns.values()], ['---'] * (len(columns) + 1)]
    rows += [[name, *(cell(name, column) for column in columns)] for name in table]
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def missed(table, task):
    """One line for each number outside its bounds."""
    return [
        f'{name}: {COLUMNS[column]} is {table[name][column]:.3f}, '
        f'expected {low:g} to {high:g}'
        for name, bounds in task.expected.items()
        for column, (low, high) in bounds.items()
        if not low <= table[name][column] <= high
    ]
