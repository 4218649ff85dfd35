"""A weight that is steered by the spread of the samples on validation."""

import math
from collections.abc import Mapping
from typing import Literal

from mmengine.hooks import Hook

from mmagic_mr.checks import NotNegative, Positive, check_kind, checked, shown
from mmagic_mr.errors import UserError
from mmagic_mr.hooks.rng import preserved_rng
from mmagic_mr.host import (
    HOOKS,
    evaluators_of,
    is_resumed,
    is_validation_due,
    loaded_from,
    unwrap,
)

STATE = 'spread_control'  # key in a checkpoint
# What each rule reads of a validation, and its gain
RULES = {
    'spread_skill': ('calibration/spread_skill', 0.5),
    'rcgan': ('calibration/gain', 0.02),
}
# What one validation adds up to at most: further off, a ratio says no more
LARGEST = math.log(4)
LEAST_RATIO = 1e-6  # without any spread the logarithm would be infinite
_ITS_STATE = dict(weight=Positive, error=float | None, iter=int | None)


@HOOKS.register_module()
class SpreadControlHook(Hook):
    r"""Steer one number of a sample loss, so that the spread of the samples gets right.

    After each validation the number is multiplied, with r its spread-skill ratio, by

    .. math:: e^{d (g e_n + h (e_n - e_{n-1}))},\qquad e_n = \log(t / r_n)

    g is ``gain``, h ``damping``, t ``target``, d ``direction``. It rests where r = t;
    the first :math:`e_n` counts log 4 at most, either way, and both terms together no
    more than this. The second term holds back while the ratio is on its way already,
    since a generator follows its loss with a delay; it never turns the first one round.
    For the same reason a first validation with too little spread is only remembered.
    The number stays within ``bounds``, and so nothing adds up while the ratio is out of
    reach. `MomentCalibration` measures the ratio, without bias at finite K, in the
    validation that is there anyway.

    ``rule='rcgan'`` is the rule of rcGAN instead: ``gain`` times the decibels by which
    the mean of K samples gains less over one sample than :math:`2K/(K+1)` are added.

    Number, ratio and iteration are in the log and in the visualizer's backends
    (TensorBoard, ...), and what the rule remembers is in the checkpoint. A checkpoint
    is written before the validation of the same iteration; a run that resumes from it
    makes up for that validation, and goes on as if it had never stopped.

    Args:
        loss: name of the loss in ``sample_losses`` ('mr' for ``mr_loss``).
        attribute: what is steered: its ``loss_weight``, or another number, such as
            ``spread_weight``, as the config gives it at the start.
        target: the ratio wanted.
        rule: 'spread_skill' or 'rcgan'.
        gain: how fast; None: 0.5, or 0.02 of rcGAN.
        damping: see above; of 'spread_skill' alone.
        bounds: least and largest multiple of the number at the start.
        direction: 1 where a larger number makes the samples vary more, otherwise -1.
        metric: name of the ratio among the validation's; None: 'calibration/
            spread_skill', that of pixels, or, for rcGAN, 'calibration/gain', beside
            which 'calibration/gain_exact' is to stand.

    Raises:
        UserError: when built, a value out of range; before training, no such loss or
            attribute, 'auto' as its weight, no validation or one that has no such
            metric; in training, a metric that is missing after all.

    Reference:
        Fortin et al., J. Hydrometeorology 2014 (the ratio). Bendel, Ahmad and Schniter,
        NeurIPS 2023 (rcGAN).

    Example:
        >>> hook = SpreadControlHook(loss='rc', attribute='spread_weight')
        >>> hook.gain, hook.metric
        (0.5, 'calibration/spread_skill')
    """

    # After the log of a validation, before the checkpoint of the best
    priority = 'LOW'

    @checked
    def __init__(
        self,
        loss: str,
        attribute: str = 'loss_weight',
        target: Positive = 1.0,
        rule: Literal['spread_skill', 'rcgan'] = 'spread_skill',
        gain: Positive | None = None,
        damping: NotNegative = 0.4,
        bounds: tuple[Positive, Positive] = (0.01, 100.0),
        direction: Literal[1, -1] = 1,
        metric: str | None = None,
    ) -> None:
        if not bounds[0] < 1 < bounds[1]:
            raise UserError(
                'SpreadControlHook: bounds are a factor below 1 and one above, between '
                f'which the number may move, got {shown(bounds)}'
            )
        if rule == 'rcgan' and target != 1:
            raise UserError(
                f"SpreadControlHook: target={target} with rule='rcgan', whose target "
                'is fixed: leave it out, or take the other rule'
            )
        self.loss, self.attribute = loss, attribute
        self.target, self.rule = target, rule
        self.metric, usual = metric or RULES[rule][0], RULES[rule][1]
        self.gain = usual if gain is None else gain
        self.damping, self.bounds, self.direction = damping, bounds, direction
        self.key = f'{loss}.{attribute}'
        self._module = None  # the loss; None: there is no training
        self._stored = None  # the state of the checkpoint that the run resumes from
        self._missed = False  # the validation after that checkpoint
        self._error = self._iter = None  # of the last validation

    # -- the run -------------------------------------------------------------------

    def before_train(self, runner) -> None:
        module, weight = self._find(runner)
        self._check_metric(runner)
        self._module, self._range = module, [weight * factor for factor in self.bounds]
        if self._stored is None:
            return
        weight, self._error, self._iter = (self._stored[name] for name in _ITS_STATE)
        self._set(weight)
        runner.logger.info(
            f'SpreadControlHook: {self._name} goes on at {weight:.4g}, as in '
            f'{loaded_from(runner)}'
        )
        self._missed = self._iter != runner.iter and is_validation_due(runner)

    def before_train_epoch(self, runner) -> None:
        # Not in `before_train`, which prepares other hooks for a validation
        if self._missed:
            self._missed = False
            with preserved_rng():
                runner.val_loop.run()

    def after_val_epoch(self, runner, metrics=None) -> None:
        if self._module is None:
            return
        error = self._measure(metrics or {})
        self._iter = runner.iter
        if error is None:
            return
        before = getattr(self._module, self.attribute)
        after = min(max(self._next(before, error), self._range[0]), self._range[1])
        self._error = error
        self._set(after)
        runner.logger.info(
            f'SpreadControlHook: {self._said(metrics)}; {self._name} '
            f'{before:.4g} -> {after:.4g}'
        )
        runner.visualizer.add_scalar(f'{STATE}/{self.key}', after, step=runner.iter)
        if before == after and after in self._range:
            runner.logger.warning(
                f'SpreadControlHook: {self._name} is at its bound, and the spread is '
                'not right: give it another start in the config, or wider bounds; or '
                'something else holds the spread back (a reconstruction term, noise '
                'that the output does not depend on)'
            )

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        if self._module is not None:
            weight = getattr(self._module, self.attribute)
            state = dict(weight=weight, error=self._error, iter=self._iter)
            checkpoint.setdefault(STATE, {})[self.key] = state

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        # What is begun anew with the weights of another run begins as its config says
        if not is_resumed(runner) or not isinstance(checkpoint, Mapping):
            return
        states = checkpoint.get(STATE, {})
        state = states.get(self.key) if isinstance(states, Mapping) else states
        if state is None:
            return
        where = f'{loaded_from(runner)}: {STATE}'
        check_kind(f'{where}: {self.key}', state, dict)
        for name, kind in _ITS_STATE.items():
            value = state.get(name, '(nothing)')
            check_kind(f'{where}: {self.key}: {name}', value, kind)
        self._stored = state

    # -- the rules -----------------------------------------------------------------

    def _measure(self, metrics: Mapping) -> float | None:
        """How much more spread is wanted, as the rule counts it; None: no saying."""
        value = self._metric(metrics, self.metric)
        if self.rule == 'rcgan':
            exact = self._metric(metrics, f'{self.metric}_exact')
            value, target = _decibel(value), _decibel(exact)
            return target - value if math.isfinite(value) else None
        if not math.isfinite(value):  # all samples are the target
            return None
        return math.log(self.target / max(value, LEAST_RATIO))

    def _next(self, weight: float, error: float) -> float:
        if self.rule == 'rcgan':
            return weight + self.direction * self.gain * error
        if self._error is None and error > 0:
            return weight
        before = error if self._error is None else self._error
        within = min(max(error, -LARGEST), LARGEST)
        step = self.gain * within + self.damping * (error - before)
        if step * error < 0:
            return weight
        most = self.gain * LARGEST
        step = min(max(step, -most), most)
        return weight * math.exp(self.direction * step)

    def _said(self, metrics: Mapping) -> str:
        """What was measured, in words."""
        value = metrics[self.metric]
        if self.rule == 'rcgan':
            exact = metrics[f'{self.metric}_exact']
            return (
                f'the mean of the samples gains {_decibel(value):.2f} dB over one of '
                f'them on validation ({_decibel(exact):.2f} is right)'
            )
        return (
            f'spread-skill ratio {value:.3f} on validation ({self.target:g} is '
            'wanted; below it the samples of an input are too much alike)'
        )

    # -- what it stands on ---------------------------------------------------------

    @property
    def _name(self) -> str:
        return f'{self.attribute} of the loss {self.loss!r}'

    def _set(self, weight: float) -> None:
        setattr(self._module, self.attribute, weight)

    def _find(self, runner):
        """The loss, and its number as the config gives it."""
        losses = unwrap(getattr(unwrap(runner.model), 'sample_losses', {}))
        if self.loss not in losses:
            raise UserError(
                f'SpreadControlHook: the model has no sample loss {self.loss!r}; there '
                f'are {list(losses)}'
            )
        module = losses[self.loss]
        weight = getattr(module, self.attribute, None)
        if weight == 'auto':
            raise UserError(
                f"SpreadControlHook: {self.attribute}='auto' of the loss {self.loss!r} "
                "is set by the model from the GAN's gradient, and cannot be steered "
                'as well: give a number, take the hook out, or steer another attribute'
            )
        check_kind(f'SpreadControlHook: {self._name}', weight, Positive)
        return module, float(weight)

    def _check_metric(self, runner) -> None:
        """Refuse a validation that cannot have the metric."""
        prefix, slash, _ = self.metric.partition('/')
        metrics = [
            metric
            for evaluator in evaluators_of(runner.val_loop)
            for metric in evaluator.metrics or []
        ]
        if not any(not slash or metric.prefix == prefix for metric in metrics):
            raise UserError(
                f'SpreadControlHook needs {self.metric!r} of a validation, and there '
                f'is none that has it: {_REMEDY}'
            )

    def _metric(self, metrics: Mapping, name: str) -> float:
        if name not in metrics:
            raise UserError(
                f'SpreadControlHook: the validation has no {name!r}; it has '
                f'{", ".join(metrics)}: {_REMEDY}'
            )
        return float(metrics[name])


_REMEDY = (
    "set val_evaluator=dict(metrics=[dict(type='MomentCalibration')]), with val_cfg "
    "and val_dataloader, or name another metric: SpreadControlHook(metric='...')"
)


def _decibel(ratio: float) -> float:
    return 10 * math.log10(ratio) if ratio > 0 else math.nan
