"""A training whose spread follows one number of its loss, for what steers it."""

import math

import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import nn

import mmagic_mr.plugin  # noqa: F401
from helpers import toy_run
from mmagic_mr.host import METRICS, MODELS
from mmagic_mr.losses import SampleLoss

K = 8


class Spread(SampleLoss):
    def __init__(self, loss_weight=1.0, spread_weight=1.0):
        super().__init__(loss_weight)
        self.spread_weight = spread_weight


@MODELS.register_module()
class Plant(BaseModel):
    """The log of its spread goes to ``slope`` times that of the weight, with a lag."""

    def __init__(self, weight, slope=1.0, rate=0.3, most=math.inf, start=0.05, **loss):
        super().__init__()
        self.sample_losses = nn.ModuleDict(
            dict(rc=Spread(**loss, spread_weight=weight))
        )
        self.log_ratio = nn.Parameter(torch.tensor(math.log(start)).double())
        self.slope, self.rate, self.most = slope, rate, most

    def forward(self, rows, mode):
        if mode == 'predict':
            return [dict(ratio=self.log_ratio.exp().item()) for _ in rows]
        weight = self.sample_losses['rc'].spread_weight
        target = min(self.slope * math.log(weight), math.log(self.most))
        return dict(loss=self.rate / 2 * (self.log_ratio - target) ** 2)


@METRICS.register_module()
class PlantSpread(BaseMetric):
    default_prefix = 'calibration'

    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        r = results[0]['ratio']
        # With samples of variance r^2 around an unbiased mean, and a target of 1
        gain = (1 + r**2) / (1 + r**2 / K)
        return dict(spread_skill=r, gain=gain, gain_exact=2 * K / (K + 1))


class Ratios(Hook):
    def __init__(self):
        self.found = []

    def after_val_epoch(self, runner, metrics=None):
        weight = runner.model.sample_losses['rc'].spread_weight
        self.found.append((metrics['calibration/spread_skill'], weight))


def config(work_dir, weight=1.0, validations=10, model=None, resume=False, **hook):
    """Two iterations from one validation to the next, a checkpoint at each."""
    cfg = toy_run.config(work_dir, 2 * validations)
    cfg.model = dict(type='Plant', weight=weight, **(model or {}))
    cfg.train_cfg.val_interval = 2
    cfg.val_dataloader = dict(
        batch_size=4,
        num_workers=0,
        dataset=dict(type='ToyData'),
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    cfg.val_cfg = dict(type='ValLoop')
    cfg.val_evaluator = dict(
        type='mmengine.Evaluator', metrics=dict(type='PlantSpread')
    )
    cfg.optim_wrapper = dict(optimizer=dict(type='SGD', lr=1.0))
    cfg.resume = resume
    steered = dict(loss='rc', attribute='spread_weight') | hook
    cfg.custom_hooks = [dict(type='SpreadControlHook', **steered)]
    return cfg
