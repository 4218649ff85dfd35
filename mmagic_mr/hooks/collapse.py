"""A warning when the samples of an input have become one and the same."""

import logging

import numpy as np
from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmagic_mr.host import HOOKS

ADVICE = (
    'What to do: take out reconstruction terms (rec_loss, pixel_loss_weight), which '
    'reward the mean; raise the loss_weight of mr_loss against the GAN loss; check '
    'that noise.sites reach layers that the output depends on'
)


@HOOKS.register_module()
class SampleCollapseHook(Hook):
    """Warn once a window when sample variance is far below what it should be.

    The model logs ``sample_std``, the root of the mean sample variance, and with a
    predictor ``pred_std``, that of the predicted variance. Over a window,

        ratio = mean(sample_std^2) / mean(pred_std^2)

    and a ratio below ``threshold`` is a collapse. Without a predictor the largest
    window so far takes the place of the predicted variance, and ``floor`` catches
    samples that never spread at all.

    Args:
        window: iterations over which both variances are averaged.
        threshold: ratio of variances below which the hook warns.
        warmup: iterations at the start that are not judged; None: one window, since
            a generator starts without any spread.
        floor: sample standard deviation, in the network's value range, below which
            the hook warns where there is no predictor.

    Example:
        >>> hook = SampleCollapseHook(window=200, threshold=0.1)
        >>> hook.warmup
        200
    """

    priority = 'BELOW_NORMAL'

    def __init__(
        self,
        window: int = 500,
        threshold: float = 0.1,
        warmup: int | None = None,
        floor: float = 0.01,
    ) -> None:
        if window < 1:
            raise ValueError(f'window is {window}: it counts iterations, 1 or more')
        if not 0 < threshold < 1:
            raise ValueError(f'threshold is {threshold}: a ratio between 0 and 1')
        self.window, self.threshold, self.floor = window, threshold, floor
        self.warmup = window if warmup is None else warmup
        self._sample_vars, self._pred_vars, self._largest = [], [], 0.0

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        # A discriminator-only iteration has no samples, and a single one no spread.
        if not outputs or 'sample_std' not in outputs:
            return
        self._sample_vars.append(float(outputs['sample_std']) ** 2)
        if 'pred_std' in outputs:
            self._pred_vars.append(float(outputs['pred_std']) ** 2)
        if (runner.iter + 1) % self.window == 0:
            self._judge(runner)
            self._sample_vars, self._pred_vars = [], []

    def _judge(self, runner):
        sample_var = np.mean(self._sample_vars)
        predicted = bool(self._pred_vars)
        reference = np.mean(self._pred_vars) if predicted else self._largest
        self._largest = max(self._largest, sample_var)
        if runner.iter + 1 <= self.warmup:
            return
        if sample_var < self.threshold * reference:
            against = 'the predicted one' if predicted else 'the largest so far'
            said = f'{sample_var / reference:.2%} of {against}'
        elif not predicted and sample_var < self.floor**2:
            said = f'{sample_var:.2g}, that is next to none'
        else:
            return
        print_log(
            f'The samples collapse: over the iterations up to {runner.iter + 1} their '
            f'variance is {said}. {ADVICE}',
            logger='current',
            level=logging.WARNING,
        )
