"""A warning when the samples of an input are one and the same."""

import logging

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from torch import Tensor

from mmagic_mr.checks import Count, Natural, Ratio, checked
from mmagic_mr.host import HOOKS
from mmagic_mr.log_values import fetched

# What the samples' variance is compared with: the first of these that the model logs
REFERENCES = dict(
    pred_std='the variance that the predictor expects',
    mean_error='the squared error of their mean',
)
ADVICE = (
    'What to do: take out reconstruction terms (rec_loss, pixel_loss_weight), which '
    'reward the mean; raise the loss_weight of the sample loss against the GAN loss, '
    'or take a scoring rule (CRPSLoss) with loss_weight="auto"; check that noise.sites '
    'name layers that the output depends on; after noise_init="zero" give the weights '
    'of the noise ten times the learning rate (paramwise_cfg).'
)


@HOOKS.register_module()
class SampleCollapseHook(Hook):
    """Warn when the samples of an input are nearly the same.

    The model logs ``sample_std``, the square root of the mean sample variance, and,
    where it has a predictor, ``pred_std``, that of the predicted variance. At the end
    of every window of iterations the hook computes

        ratio = mean(sample_std^2) / mean(pred_std^2)

    and warns if the ratio is below ``threshold``. Without a predictor the squared error
    of the samples' mean (``mean_error``) takes the place of the predicted variance: the
    two are nearly equal where the spread is right.

    Args:
        window: iterations over which both are averaged.
        threshold: ratio below which the hook warns.
        warmup: iterations at the start that are not judged; None: one window, because
            a generator starts with next to no spread.

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
    ) -> None:
        self.window, self.threshold = window, threshold
        self.warmup = window if warmup is None else warmup
        self._pairs: list[Tensor] = []
        self._against = ''

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        # No samples in an update of the discriminator alone, no spread with K = 1.
        reference = next((name for name in REFERENCES if name in (outputs or ())), None)
        if reference and 'sample_std' in outputs:
            pair = outputs['sample_std'], outputs[reference]
            self._pairs += map(torch.as_tensor, pair)
            self._against = REFERENCES[reference]
        if (runner.iter + 1) % self.window == 0 and self._pairs:
            if runner.iter + 1 > self.warmup:
                self._judge(runner)
            self._pairs = []

    def _judge(self, runner):
        squares = np.square(fetched(self._pairs))
        ratio = squares[::2].mean() / max(squares[1::2].mean(), np.finfo(float).tiny)
        if ratio >= self.threshold:
            return
        print_log(
            'The samples collapse: the samples of an input are nearly the same. Over '
            f'the last {len(squares) // 2} iterations (up to iteration '
            f'{runner.iter + 1}) their variance was {ratio:.2%} of {self._against}. '
            f'{ADVICE}',
            logger='current',
            level=logging.WARNING,
        )
