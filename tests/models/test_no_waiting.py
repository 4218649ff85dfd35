"""The host never waits for the device in a training step, the log included.

A small host is trained by mmengine's Runner, with all hooks, on a device of its own.
"""

import copy

import pytest
import torch
from helpers import hosts, tiny
from helpers.elsewhere import second_device
from mmengine.hooks import Hook
from mmengine.runner import Runner

LOSSES = dict(
    proxy=dict(type='ProxyMRLoss', loss_weight=10.0),
    crps=dict(type='CRPSLoss', loss_weight='auto', views=dict(pixel=1.0, fft=1.0)),
)
LOG, WINDOW, LOOK, ITERATIONS = 3, 4, 5, 6


IMAGES = 4  # that a batch of two is: inputs and targets


class Watch(Hook):
    """Notes after each iteration how often the host has waited."""

    priority = 'LOWEST'

    def __init__(self, device):
        self.device, self.seen = device, []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append((dict(self.device.waits), self.device.sent))
        self.device.waits.clear()
        self.device.sent = 0


class Rows(torch.utils.data.Dataset):
    metainfo = {}

    def __init__(self, data):
        self.data = data

    def __len__(self):
        return 100  # no epoch ends, at which the log would be read as well

    def __getitem__(self, index):
        rows = {name: rows[index % len(rows)] for name, rows in self.data.items()}
        return copy.deepcopy(rows)


def runner_of(host, work_dir, hooks=(), **changes):
    tiny.quicken_runners()
    spec = hosts.HOSTS[host]
    model = hosts.build(
        spec.config, sample_losses=LOSSES, ema=dict(decay=0.9), **changes
    )
    hosts.trained(model).init_weights = lambda: None
    wrapper = dict(
        type='OptimWrapper',
        # A small eps makes whole steps of gradients that are no more than rounding
        optimizer=dict(type='Adam', lr=1e-3, eps=1e-2),
        clip_grad=dict(max_norm=10.0),
    )
    return Runner(
        model,
        str(work_dir),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            dataset=Rows(spec.data()),
            sampler=dict(type='InfiniteSampler'),
        ),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=ITERATIONS),
        optim_wrapper=dict(
            constructor='MultiOptimWrapperConstructor',
            generator=wrapper,
            discriminator=wrapper,
        ),
        param_scheduler=dict(
            generator=dict(type='LinearLR', by_epoch=False, end=4),
            discriminator=dict(type='LinearLR', by_epoch=False, end=4),
        ),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=LOG), checkpoint=None
        ),
        custom_hooks=[
            dict(type='SampleCollapseHook', window=WINDOW, warmup=0),
            dict(type='DivergenceHook', interval=LOOK),
            dict(type='StatusHook'),
            *hooks,
        ],
        log_processor=dict(by_epoch=False),
        randomness=dict(seed=1),
        default_scope='mmagic',
        experiment_name=f'no_waiting_{work_dir.name}',
    )


def logged(runner):
    return {
        name: history.data[0].tolist()
        for name, history in runner.message_hub.log_scalars.items()
        if not name.endswith('time')
    }


def test_a_training_waits_where_it_reads_its_log(tmp_path, monkeypatch):
    plain = runner_of('srgan', tmp_path / 'plain')
    plain.train()
    with second_device() as device:
        monkeypatch.setattr('mmengine.runner.runner.get_device', lambda: 'meta')
        watch = Watch(device)
        ours = runner_of('srgan', tmp_path / 'ours', [watch])
        ours.train()
        found = logged(ours)
    expected = logged(plain)
    assert found.keys() == expected.keys()
    assert {'train/grad_norm', 'train/sample_std', 'train/balance_crps'} <= found.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-3), name

    (first, _), *others = watch.seen
    # What is known from then on: the predictor is trained, the noise has an effect, and
    # how often each was moved
    assert sum(first.values()) == 4
    for number, (waits, sent) in enumerate(others, start=2):
        reads = number % LOG == 0, number % WINDOW == 0
        look = number % LOOK == 0 or number == ITERATIONS
        assert waits.get('to the host', 0) == sum(waits.values()) == sum(reads) + look
        assert sent == IMAGES
