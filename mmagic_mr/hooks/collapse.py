"""A warning when the samples of an input have become one and the same."""

import logging

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from torch import Tensor

from mmagic_mr.checks import Count, Natural, NotNegative, Ratio, checked
from mmagic_mr.host import HOOKS
from mmagic_mr.log_values import fetched

ADVICE = (
    'What to do: take out reconstruction terms (rec_loss, pixel_loss_weight), which '
    'reward the mean; raise the loss_weight of the sample loss against the GAN loss, '
    'or take a scoring rule (CRPSLoss) with loss_weight="auto"; check that noise.sites '
    'name layers that the output depends on.'
)


@HOOKS.register_module()
class SampleCollapseHook(Hook):
    """Warn when the samples of an input have become nearly the same.

    The model logs ``sample_std``, the square root of the mean sample variance, and,
    where it has a predictor, ``pred_std``, that of the predicted variance. At the end
    of every window of iterations the hook computes

        ratio = mean(sample_std^2) / mean(pred_std^2)

    and warns if the ratio is below ``threshold``. Without a predictor the largest
    window so far takes the place of the predicted variance, and the hook also warns if
    the samples' standard deviation is below ``floor``: samples that never spread do
    not fall below an earlier window.

    Args:
        window: iterations over which both variances are averaged.
        threshold: ratio of variances below which the hook warns.
        warmup: iterations at the start that are not judged; None: one window, because
            a generator starts with next to no spread.
        floor: sample standard deviation, in the network's value range, below which
            the hook warns where there is no predictor.

    Raises:
        UserError: ``window`` below 1, or ``threshold`` not between 0 and 1.

    Example:
        >>> hook = SampleCollapseHook(window=200, threshold=0.1)
        >>> hook.warmup
        200
    """

    priority = 'BELOW_NORMAL'

    @checked
    def __init__(
        self,
        window: Count = 500,
        threshold: Ratio = 0.1,
        warmup: Natural | None = None,
        floor: NotNegative = 0.01,
    ) -> None:
        self.window, self.threshold, self.floor = window, threshold, floor
        self.warmup = window if warmup is None else warmup
        self._sample_stds: list[Tensor] = []
        self._pred_stds: list[Tensor] = []
        self._largest = 0.0

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        # No samples in an update of the discriminator alone, no spread with K = 1.
        if not outputs or 'sample_std' not in outputs:
            return
        self._sample_stds.append(torch.as_tensor(outputs['sample_std']))
        if 'pred_std' in outputs:
            self._pred_stds.append(torch.as_tensor(outputs['pred_std']))
        if (runner.iter + 1) % self.window == 0:
            self._judge(runner)
            self._sample_stds, self._pred_stds = [], []

    def _judge(self, runner):
        count, predicted = len(self._sample_stds), bool(self._pred_stds)
        variances = np.square(fetched([*self._sample_stds, *self._pred_stds]))
        sample_var = variances[:count].mean()
        reference = variances[count:].mean() if predicted else self._largest
        self._largest = max(self._largest, sample_var)
        if runner.iter + 1 <= self.warmup:
            return
        if sample_var < self.threshold * reference:
            against = (
                'the variance that the predictor expects'
                if predicted
                else 'the largest variance of the windows before'
            )
            said = f'{sample_var / reference:.2%} of {against}'
        elif not predicted and sample_var < self.floor**2:
            said = f'{sample_var:.2g}, which is nearly none'
        else:
            return
        print_log(
            'The samples collapse: the samples of an input are nearly the same. Over '
            f'the last {count} iterations (up to iteration '
            f'{runner.iter + 1}) their variance was {said}. {ADVICE}',
            logger='current',
            level=logging.WARNING,
        )
