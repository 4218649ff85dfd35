"""What the terminal shows of a training, beside what the log file keeps."""

import logging
import re
import warnings

import pytest
from helpers import tiny, toy_run
from mmengine.runner import Runner

from mmagic_mr import console
from mmagic_mr.host import MODELS

DUMPS = ('System environment:', 'Config:', 'Hooks will be executed')


@pytest.fixture
def runner(tmp_path):
    return console.QuietRunner.from_cfg(toy_run.config(tmp_path))


def log_of(work_dir):
    (path,) = work_dir.glob('*/*.log')
    return path.read_text()


def test_long_dumps_are_in_the_log_file_alone(tmp_path, capfd):
    console.QuietRunner.from_cfg(toy_run.config(tmp_path)).train()
    shown = capfd.readouterr().out
    kept = log_of(tmp_path)
    for dump in DUMPS:
        assert dump not in shown
        assert dump in kept
    assert 'Saving checkpoint at 4 iterations' in shown
    assert len(shown.splitlines()) < 20


@MODELS.register_module()
class WaitingModel(toy_run.ToyModel):
    def train_step(self, data, optim_wrapper):
        return {}


def test_a_network_that_waits_is_none_to_warn_of(tmp_path):
    cfg = toy_run.config(tmp_path, **{'model.type': 'WaitingModel'})
    cfg.param_scheduler = dict(type='LinearLR', by_epoch=False, end=4)
    for runner, warned in ((Runner, True), (console.QuietRunner, False)):
        cfg.experiment_name += '_again'
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            runner.from_cfg(cfg).train()
        messages = [str(warning.message) for warning in caught]
        assert any('scheduler.step()' in m for m in messages) == warned


def test_a_model_of_anyone_is_summed_up(runner):
    files = f'{runner.work_dir}: checkpoints, pictures, and a log with the config'
    assert console.summary(runner).splitlines() == [
        'training',
        '   model: ToyModel with generator ToyNet (0.0 M)',
        '    data: 4 of ',
        '  update: 2 inputs on cpu',
        '  length: 4 iterations',
        f'   files: {files}',
    ]


def test_one_of_ours_says_losses_and_samples(tmp_path):
    data_root = tiny.write_data('pix2pix_recommended_maps', tmp_path / 'data')
    cfg = tiny.load('pix2pix_recommended_maps', data_root, tmp_path / 'run')
    said = console.summary(console.QuietRunner.from_cfg(cfg))
    assert re.search(r'model: MRPix2Pix with generators \w+ \(\d+\.\d M\), discr', said)
    assert 'losses: crps CRPSLoss (auto)' in said
    assert re.search(rf'data: \d+ of {data_root}', said)
    assert re.search(
        r"update: \d+ inputs, \d+ x \d+ samples in the generator's on", said
    )


def test_the_end_names_the_next_commands(tmp_path):
    cfg = toy_run.config(tmp_path)
    cfg.dump(tmp_path / 'toy.py')
    cfg = toy_run.config(tmp_path / 'run')
    cfg.merge_from_dict({'randomness.seed': 3})
    object.__setattr__(cfg, '_filename', str(tmp_path / 'toy.py'))
    runner = console.QuietRunner.from_cfg(cfg)
    assert 'next:' not in console.farewell(runner)
    runner.train()
    said = console.farewell(runner)
    of_run = f'{tmp_path}/run/toy.py {tmp_path}/run/iter_4.pth'
    assert f'python tools/test.py {of_run}\n' in said
    assert f'python tools/sample.py {of_run} IMAGE' in said
    assert 'seed=3' in (tmp_path / 'run' / 'toy.py').read_text()


def test_control_c_says_what_is_kept_and_how_to_go_on(tmp_path):
    runner = console.QuietRunner.from_cfg(toy_run.config(tmp_path))
    said = console.interrupted(runner)
    assert said.startswith('stopped after 0 of 4 iterations, before the first')
    (tmp_path / 'predictor').mkdir()
    (tmp_path / 'predictor/last.pth').touch()
    said = console.interrupted(runner)
    assert said.endswith(f'--resume goes on from {tmp_path}/predictor/last.pth')
    runner.train()
    assert console.interrupted(runner) == (
        'stopped after 4 of 4 iterations: the same command with --resume goes on from '
        f'{tmp_path}/iter_4.pth'
    )


def test_a_machine_with_few_cores_is_no_news(runner, recwarn):
    loader = runner.cfg.train_dataloader
    loader.num_workers = 1000
    assert runner.build_dataloader(loader).num_workers == 1000
    assert not [w for w in recwarn if 'worker' in str(w.message)]


@pytest.mark.parametrize(
    ('message', 'shown'),
    [
        (
            'Iter(val) [1/1]  a/crps: 0.3  a/crps_low: 0.2  a/crps_high: 0.4  time: 1',
            'Iter(val) [1/1]  a/crps: 0.3  time: 1',
        ),
        ('Iter(train) [1/1]  loss_low: 0.3', 'Iter(train) [1/1]  loss_low: 0.3'),
    ],
)
def test_a_line_of_results_has_no_bounds(message, shown):
    record = logging.LogRecord('', logging.INFO, '', 0, message, (), None)
    assert console.ShortResults(logging.Formatter()).format(record) == shown
