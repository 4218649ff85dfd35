"""The demo's tool: the table by hand, and a short run from end to end."""

import json
import os
import runpy
import signal
import sys
import traceback
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import ROOT
from mmengine.config import Config
from PIL import Image

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.data.synthetic.scenes import paint_labels, scene_labels
from mmagic_mr.data.synthetic.tasks import TASKS
from mmagic_mr.reports.demo import COLUMNS, Demo, as_markdown, missed


@pytest.fixture
def task():
    return TASKS['pix2pix']


@pytest.fixture
def table():
    good = dict(std_ratio=1.0, mean_error=0.3, modes=0.95, off_mode=0.2)
    return {
        'perfect sampler': dict(good, modes=0.99),
        'GAN + L1': dict(good, std_ratio=0.1, modes=0.25),
        'GAN + proxy MR2': dict(good, pred_mean_error=0.1, pred_var_error=0.15),
        'GAN + CRPS': dict(good),
    }


def test_numbers_within_their_bounds_are_not_missed(task, table):
    assert missed(table, task) == []


@pytest.mark.parametrize(
    ('name', 'column', 'value'),
    [
        ('GAN + L1', 'std_ratio', 0.16),
        ('GAN + L1', 'modes', 0.41),
        ('GAN + proxy MR2', 'std_ratio', 0.59),
        ('GAN + proxy MR2', 'std_ratio', 1.41),
        ('GAN + proxy MR2', 'modes', 0.89),
        ('GAN + proxy MR2', 'pred_mean_error', 0.16),
        ('GAN + proxy MR2', 'pred_var_error', 0.21),
        ('GAN + proxy MR2', 'pred_var_error', float('nan')),
        ('GAN + CRPS', 'std_ratio', 1.41),
        ('GAN + CRPS', 'modes', 0.89),
    ],
)
def test_a_number_out_of_bounds_is_missed(task, table, name, column, value):
    table[name][column] = value
    (line,) = missed(table, task)
    assert line.startswith(f'{name}: {COLUMNS[column]} is {value:.3f}')


@pytest.mark.parametrize('name', ['pix2pix', 'sr', 'inpaint'])
def test_in_every_demo_a_collapsed_model_and_a_diverse_baseline_are_missed(name):
    task = TASKS[name]
    collapsed = dict(
        std_ratio=0.02, modes=0.25, pred_mean_error=0.1, pred_var_error=0.1
    )
    diverse = dict(collapsed, std_ratio=1.0, modes=1.0)
    baseline, *others = task.methods
    assert others == ['GAN + proxy MR2', 'GAN + CRPS']
    assert missed({baseline: collapsed, **dict.fromkeys(others, diverse)}, task) == []
    lines = missed({baseline: diverse, **dict.fromkeys(others, collapsed)}, task)
    assert [line.split(' is ')[0] for line in lines] == [
        f'{method}: {COLUMNS[column]}'
        for method in (baseline, *others)
        for column in ('std_ratio', 'modes')
    ]


def test_table_has_a_row_per_method_and_leaves_unknown_cells_empty(task, table):
    lines = as_markdown(table, task).splitlines()
    assert len(lines) == 6
    assert all(line.count('|') == len(COLUMNS) + 2 for line in lines)
    assert lines[3] == (
        '| GAN + L1 | 0.10 (0 to 0.15) | 0.30 | 0.25 (0 to 0.4) | 0.20 |  |  |'
    )


def test_progress_is_read_from_a_training_output(task, tmp_path):
    demo = Demo(task, ROOT, 'data', str(tmp_path))
    output = tmp_path / 'some' / 'output.txt'
    output.parent.mkdir()
    output.write_text('loading\n')
    assert demo.progress('some') == 'starting'
    output.write_text('INFO - predictor [50/900] nll: 1.0  at most 0:01 left\n')
    assert demo.progress('some') == 'predictor [50/900]'
    output.write_text(
        'INFO - predictor [900/900] nll: 1.0\n'
        'INFO - Iter(train) [ 100/2000]  lr: 1e-3  eta: 0:02:51  time: 0.1\n'
    )
    assert demo.progress('some') == 'Iter(train) [ 100/2000] eta: 0:02:51'


def test_inputs_are_standardized_by_the_scenes_own_statistics():
    input_norm = Config.fromfile(
        ROOT / 'configs' / 'pix2pix_noise_demo.py', import_custom_modules=False
    ).model.input_norm
    values = np.stack([paint_labels(scene_labels(i)) for i in range(500)]) / 255
    assert input_norm.mean == pytest.approx(values.mean((0, 1, 2)), abs=0.02)
    assert input_norm.std == pytest.approx(values.std((0, 1, 2)), abs=0.02)


class Forked:
    """In place of Popen: a Python script in a fork of this process.

    It has imported what takes a new one seconds. `make demo-short` starts real ones.
    """

    def __init__(self, command, stdout, **options):
        self.returncode = None
        self.pid = os.fork()
        if self.pid == 0:
            self._run(command[1], command[1:], stdout.fileno())

    @staticmethod
    def _run(script, arguments, output):
        code = 1
        try:
            os.dup2(output, 1)
            sys.stdout = sys.stderr = open(1, 'w', buffering=1)  # noqa: SIM115
            sys.argv = arguments
            runpy.run_path(script, run_name='__main__')
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)

    def poll(self):
        ended, status = os.waitpid(self.pid, os.WNOHANG)
        if ended:
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def terminate(self):
        os.kill(self.pid, signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['pix2pix', 'sr', 'inpaint'])
def test_short_demo_ends_with_table_and_picture(name, tmp_path, monkeypatch, capsys):
    forks = SimpleNamespace(Popen=Forked, STDOUT=None)
    monkeypatch.setattr('mmagic_mr.reports.demo.subprocess', forks)
    arguments = ['--short', '--task', name, '--seed', '1']
    arguments += ['--out', str(tmp_path / 'out'), '--data', str(tmp_path / 'data')]
    monkeypatch.setattr(sys, 'argv', ['demo.py', *arguments])
    runpy.run_path(str(ROOT / 'tools' / 'demo.py'), run_name='__main__')
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / 'out' / 'demo.json').read_text())
    assert result['seed'] == 1
    table = result['table']
    task = TASKS[name]
    assert set(table) == {'perfect sampler', *task.methods}
    baseline, proxy, crps = (table[method] for method in task.methods)
    assert table['perfect sampler']['std_ratio'] == pytest.approx(1, abs=0.05)
    assert table['perfect sampler']['modes'] > 0.97
    assert 'pred_mean_error' in proxy
    assert 'pred_mean_error' not in baseline | crps
    for row in baseline, proxy, crps:
        assert set(task.check_columns) <= set(row)
        # Outside the hole nothing changes, however little was trained
        assert row.get('outside', 0) == 0
    assert (tmp_path / 'out' / 'demo.md').read_text() in printed
    for config in task.methods.values():
        trained = tmp_path / 'out' / config / f'{config}.py'
        cfg = Config.fromfile(trained, import_custom_modules=False)
        assert ('FastOptimWrapper' in str(cfg.optim_wrapper)) == task.fast
        if task.iterations:
            for schedule in cfg.param_scheduler.generators:
                begin, end = 0.6 * task.iterations, task.iterations
                assert (schedule.begin, schedule.end) == (begin, end)
    # Three groups of four rows, six pictures and eight samples in each.
    width, height = Image.open(tmp_path / 'out' / 'demo.png').size
    assert width == 4 + 14 * (96 + 4)
    assert height > 12 * (96 + 4)
