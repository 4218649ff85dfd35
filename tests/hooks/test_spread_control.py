"""The hook that steers a loss by the spread on validation: does it get there, stay
there, and go on after a kill as if nothing had been?"""

import math
import multiprocessing
import os
import re
import signal

import pytest
import torch
from helpers import tiny
from helpers.plant import K, Ratios, config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmagic_mr.errors import UserError
from mmagic_mr.hooks import SpreadControlHook


class Kill(Hook):
    def __init__(self, iteration, after_validation):
        self.iteration, self.after_validation = iteration, after_validation

    def _kill(self, runner, iteration):
        if iteration == self.iteration:
            os.kill(os.getpid(), signal.SIGKILL)

    def before_val(self, runner):
        if not self.after_validation:
            self._kill(runner, runner.iter)

    def after_val(self, runner):
        if self.after_validation:
            self._kill(runner, runner.iter)


def train(*args, kill=None, **kwargs):
    """Ratio and number of each validation, and the runner."""
    runner = Runner.from_cfg(config(*args, **kwargs))
    ratios = Ratios()
    runner.register_hook(ratios, 'LOWEST')
    if kill:
        runner.register_hook(kill, 'LOWEST')
    runner.train()
    return ratios.found, runner


@pytest.mark.parametrize('weight', [0.1, 1.0, 10.0])
@pytest.mark.parametrize(
    ('plant', 'settled'),
    [
        (dict(), 10),
        (dict(slope=1.5), 9),
        (dict(most=2.0), 13),  # what a generator gives at most
        (dict(rate=1.0), 10),  # no lag at all
    ],
    ids=str,
)
def test_it_gets_to_one_and_stays_there(tmp_path, weight, plant, settled):
    found, _ = train(tmp_path, weight, validations=settled + 4, model=plant)
    ratios = [ratio for ratio, _ in found]
    assert all(abs(ratio - 1) < 0.1 for ratio in ratios[settled:]), ratios
    # Nothing swings: from below it comes without going beyond
    assert weight > 1 or max(ratios) < 1.15


def test_another_target_and_the_other_direction(tmp_path):
    found, _ = train(tmp_path / 'a', 0.3, validations=14, target=0.5)
    assert abs(found[-1][0] / 0.5 - 1) < 0.05
    plant = dict(slope=-1.0)
    found, _ = train(tmp_path / 'b', 0.3, validations=14, model=plant, direction=-1)
    assert abs(found[-1][0] - 1) < 0.05
    found, _ = train(tmp_path / 'c', 0.3, validations=14, model=plant)
    assert found[-1][0] > 2


def test_a_step_is_that_of_the_equation(tmp_path):
    model = dict(start=0.4)
    found, _ = train(tmp_path / 'a', 0.7, 3, model, gain=0.4, damping=0.3)
    (r0, w0), (r1, w1), (r2, w2) = found
    e0, e1, e2 = (-math.log(r) for r in (r0, r1, r2))
    assert w0 == 0.7  # too little spread at the start is only remembered
    assert w1 == pytest.approx(w0 * math.exp(0.4 * e1 + 0.3 * (e1 - e0)), rel=1e-12)
    assert w2 == pytest.approx(w1 * math.exp(0.4 * e2 + 0.3 * (e2 - e1)), rel=1e-12)
    model = dict(start=1.5)
    found, _ = train(tmp_path / 'b', 1.2, 1, model, gain=0.4)
    ((r0, w0),) = found
    assert w0 == pytest.approx(1.2 * r0**-0.4, rel=1e-12)  # too much of it is not


def test_no_step_is_larger_than_that_of_a_ratio_of_four(tmp_path):
    """However the ratio jumps from one validation to the next."""
    _, runner = train(tmp_path, validations=1, model=dict(start=1.0))
    (hook,) = (h for h in runner.hooks if isinstance(h, SpreadControlHook))
    before = runner.model.sample_losses['rc'].spread_weight
    for ratio, factor in (1e-5, 2.0), (1e5, 0.5):
        hook.after_val_epoch(runner, {'calibration/spread_skill': ratio})
        after = runner.model.sample_losses['rc'].spread_weight
        assert after == pytest.approx(before * factor, rel=1e-12)
        before = after


def test_out_of_reach_nothing_adds_up(tmp_path):
    """At its bound the number stays, is said to, and comes back at once."""
    found, runner = train(tmp_path, model=dict(most=0.5), bounds=(0.5, 4.0))
    assert [weight for _, weight in found[-4:]] == [4.0] * 4
    (hook,) = (h for h in runner.hooks if isinstance(h, SpreadControlHook))
    (log,) = tmp_path.glob('*/*.log')
    assert 'is at its bound' in log.read_text()
    hook.after_val_epoch(runner, {'calibration/spread_skill': 2.0})
    assert runner.model.sample_losses['rc'].spread_weight < 4


@pytest.mark.parametrize('ratio', [math.nan, math.inf])
def test_a_ratio_that_says_nothing_changes_nothing(tmp_path, ratio):
    found, runner = train(tmp_path, validations=2)
    (hook,) = (h for h in runner.hooks if isinstance(h, SpreadControlHook))
    hook.after_val_epoch(runner, {'calibration/spread_skill': ratio})
    assert runner.model.sample_losses['rc'].spread_weight == found[-1][1]
    hook.after_val_epoch(runner, {'calibration/spread_skill': 0.0})
    assert found[-1][1] < runner.model.sample_losses['rc'].spread_weight < math.inf


def test_the_rule_of_rcgan(tmp_path):
    """At the right spread it rests; per validation it adds 0.02 per decibel."""
    found, _ = train(tmp_path / 'a', 0.5, 2, rule='rcgan')
    (r0, w0), (r1, w1) = found

    def missing(r):
        exact = 2 * K / (K + 1)
        return 10 * math.log10(exact / ((1 + r**2) / (1 + r**2 / K)))

    assert w0 == pytest.approx(0.5 + 0.02 * missing(r0), rel=1e-9)
    assert w1 == pytest.approx(w0 + 0.02 * missing(r1), rel=1e-9)
    right = dict(model=dict(start=1.0), rule='rcgan')
    assert train(tmp_path / 'b', 1.0, 2, **right)[0][-1][1] == pytest.approx(1.0)


def test_log_and_pictures_of_the_number(tmp_path):
    found, _ = train(tmp_path, 0.1, 2)
    (log,) = tmp_path.glob('*/*.log')
    lines = [line for line in log.read_text().splitlines() if 'SpreadControl' in line]
    words = (
        f"{found[1][0]:.3f} on validation.*of the loss 'rc' 0.1 -> {found[1][1]:.4g}"
    )
    assert len([line for line in lines if 'INFO' in line and '->' in line]) == 2
    assert re.search(words, '\n'.join(lines))
    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    assert '"spread_control/rc.spread_weight"' in scalars.read_text()


def test_several_hooks_keep_apart(tmp_path):
    cfg = config(tmp_path, 0.1)
    other = dict(cfg.custom_hooks[0], attribute='loss_weight', direction=-1)
    cfg.custom_hooks.append(other)
    Runner.from_cfg(cfg).train()
    state = torch.load(tmp_path / 'iter_20.pth', weights_only=False)['spread_control']
    assert set(state) == {'rc.spread_weight', 'rc.loss_weight'}
    assert state['rc.spread_weight']['weight'] > 0.3
    assert state['rc.loss_weight']['weight'] < 0.7


# -- killed and resumed -------------------------------------------------------------


def run(*args, **kwargs):
    """`train` in a process of its own; its exit code."""
    process = multiprocessing.get_context('fork').Process(
        target=train, args=args, kwargs=kwargs
    )
    process.start()
    process.join()
    return process.exitcode


@pytest.mark.parametrize('after_validation', [False, True])
def test_a_killed_run_ends_like_one_that_was_not(tmp_path, after_validation):
    """Its checkpoint was written before the validation that it died in, or after."""
    whole, runner = train(tmp_path / 'whole', 0.1)
    kill = Kill(12, after_validation)
    work_dir = tmp_path / 'run'
    assert run(work_dir, 0.1, kill=kill) == -signal.SIGKILL
    resumed, again = train(work_dir, 0.1, resume=True)
    assert resumed == whole[5:]
    assert torch.equal(again.model.log_ratio, runner.model.log_ratio)
    states = [
        torch.load(folder / 'iter_20.pth', weights_only=False)['spread_control']
        for folder in (tmp_path / 'whole', work_dir)
    ]
    assert states[0] == states[1]


def test_a_validation_that_is_in_the_checkpoint_is_not_repeated(tmp_path):
    """That of the best is written after it, as is one between two validations."""
    whole, _ = train(tmp_path / 'whole', 0.1, validations=3)
    cfg = config(tmp_path / 'run', 0.1, validations=2)
    cfg.default_hooks.checkpoint.update(save_best='calibration/spread_skill')
    cfg.default_hooks.checkpoint.update(rule='greater')
    Runner.from_cfg(cfg).train()
    (best,) = (tmp_path / 'run').glob('best*.pth')
    cfg = config(tmp_path / 'again', 0.1, validations=3, resume=True)
    cfg.load_from = str(best)
    runner = Runner.from_cfg(cfg)
    ratios = Ratios()
    runner.register_hook(ratios, 'LOWEST')
    runner.train()
    assert ratios.found == whole[2:]


def test_weights_alone_bring_no_steering(tmp_path):
    train(tmp_path / 'a', 0.1)
    cfg = config(tmp_path / 'b', 0.1, validations=1)
    cfg.load_from = str(tmp_path / 'a' / 'iter_20.pth')
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.model.sample_losses['rc'].spread_weight < 0.3


def test_a_run_that_had_no_hook_begins_with_its_config(tmp_path):
    cfg = config(tmp_path, 0.5, validations=2)
    cfg.custom_hooks = []
    Runner.from_cfg(cfg).train()
    found, _ = train(tmp_path, 0.5, validations=3, resume=True)
    assert found[0][1] == 0.5


@pytest.mark.parametrize(
    'state',
    [
        [1],
        dict(weight=1.0),
        dict(weight=math.nan, error=0.0, iter=1),
        dict(weight=-1.0, error=0.0, iter=1),
    ],
    ids=str,
)
def test_a_spoilt_state_is_refused(tmp_path, state):
    train(tmp_path, validations=1)
    path = tmp_path / 'iter_2.pth'
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['spread_control']['rc.spread_weight'] = state
    torch.save(checkpoint, path)
    with pytest.raises(UserError, match=r'spread_control: rc\.spread_weight'):
        train(tmp_path, validations=2, resume=True)


# -- refusals -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (dict(bounds=(2.0, 3.0)), 'a factor below 1 and one above'),
        (dict(target=0.0), 'target must be'),
        (dict(rule='psnr'), "rule must be one of 'spread_skill', 'rcgan'"),
        (dict(rule='rcgan', target=0.9), "target=0.9 with rule='rcgan'"),
        (dict(direction=2), 'direction must be one of 1, -1'),
        (dict(gains=1.0), 'did you mean gain'),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(UserError, match=words):
        SpreadControlHook(loss='rc', **arguments)


@pytest.mark.parametrize(
    ('hook', 'model', 'words'),
    [
        (dict(loss='mr'), {}, r"no sample loss 'mr'; there are \['rc'\]"),
        (dict(attribute='weigth'), {}, "weigth of the loss 'rc' must be"),
        (dict(attribute='weight_'), {}, "weight_ of the loss 'rc' must be"),
        (dict(attribute='loss_weight'), dict(loss_weight='auto'), "'auto'.*a number"),
        (dict(attribute='loss_weight'), dict(loss_weight=0.0), 'above 0, got 0.0'),
        (dict(metric='spread/it'), {}, r"'spread/it'.*MomentCalibration"),
        (dict(metric='calibration/it'), {}, r"no 'calibration/it'; it has calibration"),
    ],
)
def test_what_cannot_be_steered_is_refused(tmp_path, hook, model, words):
    with pytest.raises(UserError, match=words):
        train(tmp_path, validations=1, model=model, **hook)


def test_without_a_validation_it_is_refused_at_the_start(tmp_path):
    cfg = config(tmp_path)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    with pytest.raises(UserError, match='val_evaluator='):
        Runner.from_cfg(cfg).train()


# -- a real model -------------------------------------------------------------------


def test_the_demo_is_steered_by_its_own_validation(tmp_path):
    """And tools that read the checkpoint do not mind what else is in it."""
    from mmagic_mr.inference import load_weights

    data_root = tiny.write_pairs(tmp_path / 'data')
    cfg = tiny.load('pix2pix_rcgan_demo', data_root, tmp_path / 'run')
    assert cfg.custom_hooks[0].type == 'SpreadControlHook'
    cfg.custom_hooks = cfg.custom_hooks[:1]
    cfg.train_cfg.update(max_iters=6, val_interval=2, dynamic_intervals=None)
    runner = Runner.from_cfg(cfg)
    runner.train()
    weight = runner.model.sample_losses['rc'].spread_weight
    assert 1 < weight <= 4  # an untrained generator varies too little
    path = tmp_path / 'run' / 'iter_6.pth'
    state = torch.load(path, weights_only=False)['spread_control']['rc.spread_weight']
    assert state['iter'] == 4
    assert 1 <= state['weight'] <= weight
    load_weights(runner.model, str(path))
