"""StatusHook: what its line says, when, and what reaches the visualizer."""

import json
import logging
import re

import pytest
import torch
from helpers import hosts, toy_run
from mmengine.logging import MMLogger

from mmagic_mr.errors import UserError
from mmagic_mr.hooks.status import StatusHook, status_line
from mmagic_mr.host import MODELS


@MODELS.register_module()
class LoggedModel(toy_run.ToyModel):
    """Logs given values, iteration by iteration."""

    def __init__(self, values, num_samples=3, gen_batch_size=None, distribute='inputs'):
        super().__init__(dict(type='ToyNet'), num_samples=num_samples)
        self.values, self.num_samples = list(values), num_samples
        self.gen_batch_size, self.distribute = gen_batch_size, distribute

    def train_step(self, data, optim_wrapper):
        super().train_step(data, optim_wrapper)
        values = self.values.pop(0) if len(self.values) > 1 else self.values[0]
        return {name: torch.tensor(value) for name, value in values.items()}


@pytest.fixture
def lines_of(tmp_path):
    """Trains, and returns the status lines."""

    def collect(values, iters=4, interval=2, log=2, **model):
        lines = []
        handler = logging.Handler()
        handler.emit = lambda record: lines.append(record.getMessage())

        class Listen(StatusHook):
            def before_train(self, runner):
                super().before_train(runner)
                MMLogger.get_current_instance().addHandler(handler)

        cfg = toy_run.config(tmp_path, iters)
        cfg.log_processor = dict(by_epoch=False)
        cfg.model = dict(type='LoggedModel', values=values, **model)
        cfg.default_hooks.logger = dict(type='LoggerHook', interval=log)
        cfg.visualizer = dict(
            type='mmengine.Visualizer',
            name=cfg.experiment_name,
            vis_backends=[dict(type='mmengine.LocalVisBackend')],
        )
        runner = toy_run.Runner.from_cfg(cfg)
        runner.register_hook(Listen(interval))
        runner.train()
        return [line for line in lines if line.endswith((' left', 'samples/s'))]

    return collect


def test_spread_is_of_the_mean_since_the_last_line(lines_of, tmp_path):
    # With K = 3 the ratio is std / error times sqrt(4 / 3)
    steps = [dict(sample_std=s, mean_error=e) for s, e in ((1, 2), (3, 2), (0, 2))]
    first, second = lines_of(steps)
    assert first.startswith('spread 1.15 of the error; ')
    assert second.startswith('spread 0.00 of the error; ')
    (file,) = tmp_path.rglob('scalars.json')
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    name = 'status/spread_skill'
    spread = {row['step']: row[name] for row in rows if name in row}
    assert spread == {2: pytest.approx(2 / 2 * (4 / 3) ** 0.5), 4: 0}


def test_balance_predictor_speed_and_time(lines_of):
    values = dict(
        sample_std=0.2, mean_error=0.2, pred_std=0.4, balance_mr=0.25, balance_crps=2.0
    )
    (line,) = lines_of([values], iters=3, interval=2, num_samples=3, gen_batch_size=1)
    found = re.fullmatch(
        r'spread 1\.15 of the error; 0\.50 of what the predictor expects; '
        r'mr : GAN = 1 : 4\.0; crps : GAN = 2\.0 : 1; (\S+) samples/s; \d+ s left',
        line,
    )
    assert found, line
    assert float(found[1]) > 0


def test_without_samples_there_is_no_line(lines_of):
    assert lines_of([dict(loss=1.0)]) == []


def test_the_interval_is_that_of_the_log(lines_of):
    assert len(lines_of([dict(sample_std=1.0, mean_error=1.0)], 6, None, log=3)) == 2


def test_samples_per_second_are_of_the_update():
    hook, numbers = StatusHook(), dict(time=2.0)

    class Loader:
        batch_size = 5

    class Run:
        train_dataloader, iter, max_iters = Loader(), 2, 10
        model = LoggedModel([{}], num_samples=4)

    found = hook._rates(Run(), numbers)
    assert found == {'status/samples_per_second': 10, 'left': 14}
    Run.model = LoggedModel([{}], num_samples=4, gen_batch_size=2)
    assert hook._rates(Run(), numbers)['status/samples_per_second'] == 4


def test_no_error_at_all_is_no_division_by_zero():
    assert status_line({'balance_mr': 0.0}) == ''
    assert 'predictor' in status_line(dict(sample_std=1.0, pred_std=0.0))


def test_bad_interval_is_refused():
    with pytest.raises(UserError, match=r'interval must be .* got 0'):
        StatusHook(interval=0)


@pytest.mark.parametrize('host', ['pix2pix', 'glcic'])
def test_the_error_is_that_of_the_mean_inside_the_mask(host, monkeypatch):
    spec = hosts.HOSTS[host]
    model = hosts.trained(hosts.build(spec.config))
    seen = {}
    spread = model._spread

    def look(batch, samples, moments):
        seen.update(batch=batch, samples=samples.detach().double())
        return spread(batch, samples, moments)

    monkeypatch.setattr(model, '_spread', look)
    logs = hosts.check_training(model, spec.data())
    batch, samples = seen['batch'], seen['samples']
    squares = (samples.mean(1) - batch.y.double()).square()
    variances = samples.var(1)
    if batch.mask is not None:
        inside = batch.mask.expand_as(squares) > 0
        squares, variances = squares[inside], variances[inside]
    torch.testing.assert_close(
        logs['mean_error'].double(), squares.mean().sqrt(), rtol=1e-5, atol=0
    )
    torch.testing.assert_close(
        logs['sample_std'].double(), variances.mean().sqrt(), rtol=1e-4, atol=0
    )
