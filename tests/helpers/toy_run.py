"""A training of one linear layer: a Runner with all of its files, in milliseconds."""

from itertools import count

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

import mmagic_mr.plugin  # noqa: F401
from helpers import tiny
from mmagic_mr.host import DATASETS, MODELS

# mmengine's loggers are found by a run's name: each run has one of its own, for good
NUMBERS = count()


@MODELS.register_module()
class ToyNet(nn.Linear):
    def __init__(self, channels=2):
        super().__init__(channels, 1)


@MODELS.register_module()
class ToyModel(BaseModel):
    """Takes what the resumed configs of the tests change."""

    def __init__(
        self,
        generator,
        predictor=None,
        noise=None,
        mr_loss=None,
        wrapped=False,
        data_preprocessor=None,
        num_samples=1,
    ):
        super().__init__(data_preprocessor)
        self.generator = MODELS.build(generator)
        self.width = self.generator.in_features
        if wrapped:  # part by part, as mmengine does for several optimizers
            self.generator = nn.DataParallel(self.generator)
        self.moment_distribution = mr_loss and mr_loss['distribution']

    def forward(self, rows, mode):
        return {
            'loss': self.generator(torch.stack(rows)[:, : self.width]).square().mean()
        }


@DATASETS.register_module()
class ToyData:
    metainfo = {}

    def __init__(self, data_root=''):
        self.data_root = data_root

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {'rows': torch.full((4,), float(index))}


def config(work_dir, max_iters=4, checkpoint=None, **changes) -> Config:
    """Saves every second iteration, and keeps one; ``changes`` as in --cfg-options."""
    tiny.quicken_runners()
    keep = dict(type='CheckpointHook', by_epoch=False, interval=2, max_keep_ckpts=1)
    cfg = Config(
        dict(
            default_scope='mmagic',
            model=dict(
                type='ToyModel',
                generator=dict(type='ToyNet', channels=2),
                predictor=dict(type='ToyNet'),
                noise=dict(type='gaussian', sites={r'.*conv\.1': 8}),
                mr_loss=dict(type='ProxyMRLoss', distribution='gaussian'),
                num_samples=4,
            ),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                dataset=dict(type='ToyData'),
                sampler=dict(type='InfiniteSampler'),
            ),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=max_iters),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)),
            default_hooks=dict(checkpoint=keep | (checkpoint or {})),
            randomness=dict(seed=1),
        )
    )
    cfg.merge_from_dict(changes)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = f'toy_{next(NUMBERS)}'
    return cfg


def train(work_dir, max_iters=4, resume=False, load_from=None, **settings) -> Runner:
    """Trains from the start or, with ``resume``, from the latest checkpoint."""
    cfg = config(work_dir, max_iters, **settings)
    cfg.resume, cfg.load_from = resume, load_from
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def model() -> ToyModel:
    """That of the config, without a Runner."""
    return MODELS.build(config('.').model)
