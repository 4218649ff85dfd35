"""Two processes with half the inputs, or samples, compute what one does with all."""

from functools import partial

import pytest
import torch
from helpers import hosts, pix2pix, tiny
from helpers.processes import Scope, compare
from mmengine.model import (
    MMDistributedDataParallel,
    MMSeparateDistributedDataParallel,
)

SLOWLY = partial(hosts.optim_wrapper, optimizer=dict(type='SGD', lr=1e-4))
SHIFT = dict(type='DiscShiftLoss', loss_weight=0.1)
# How a host's model is built, its optimizers, its data
HOSTS = {
    'pix2pix': (pix2pix.build, pix2pix.optim_wrapper, pix2pix.data),
    'wgan': (
        partial(
            pix2pix.build,
            gan_loss=dict(gan_type='wgan'),
            gradient_penalty=dict(weight=10.0),
        ),
        pix2pix.optim_wrapper,
        pix2pix.data,
    ),
    'pix2pix in chunks': (
        partial(pix2pix.build, sample_chunk=1),
        pix2pix.optim_wrapper,
        pix2pix.data,
    ),
    'srgan': (partial(hosts.build, hosts.SRGAN), hosts.optim_wrapper, hosts.sr_data),
    'esrgan': (partial(hosts.build, hosts.ESRGAN), SLOWLY, hosts.sr_data),
    'glcic': (
        partial(hosts.build, hosts.GLCIC, loss_disc_shift=SHIFT),
        hosts.optim_wrapper,
        hosts.gl_data,
    ),
    **{
        name: (
            partial(hosts.build, hosts.HOSTS[name].config),
            partial(hosts.optim_wrapper, optimizer=dict(type='SGD', lr=1e-6)),
            hosts.HOSTS[name].data,
        )
        for name in ('real_esrgan', 'aot', 'two_stage')
    },
    'edit': (
        partial(hosts.build, hosts.EDIT),
        SLOWLY,
        hosts.sr_data,
    ),
    'edit in chunks': (
        partial(hosts.build, hosts.EDIT, sample_chunk=1),
        SLOWLY,
        hosts.sr_data,
    ),
}


def updates(scope: Scope, host: str, distribute: str, n: int, losses: dict) -> dict:
    """Parameters, their averages, and what the log shows, after two iterations."""
    from mmengine import MessageHub

    build, optim_wrapper, data = HOSTS[host]
    ours = dict(num_samples=4, distribute=distribute, balance=dict(interval=1))
    ours |= dict(mr_loss=None, sample_losses=losses, ema=dict(decay=0.9))
    model = build(**ours).double()
    if model.predictor is not None:
        model.predictor.trained.fill_(True)
    model.eval()  # BatchNorm off; `train_step` does not ask for a mode.
    wrappers = optim_wrapper(model)
    wrapped = model
    if scope.world_size > 1:
        if host.startswith('edit'):  # wrapped as a whole, as mmengine does by default
            wrapped = MMDistributedDataParallel(model)
        else:
            wrapped = MMSeparateDistributedDataParallel(model)
            generator = getattr(model, model.generator_name)
            assert type(generator).__name__ == 'MMDistributedDataParallel'
            assert not hasattr(model.predictor, 'module')
    torch.manual_seed(5)  # What the noise of an update derives from, on every rank.
    logs = {}
    for iteration in range(2):
        MessageHub.get_current_instance().update_info('iter', iteration)
        batch = data(n=n) if distribute == 'samples' else scope.own(data(n=n))
        found = wrapped.train_step(batch, wrappers)
        logs |= {f'{k} {iteration}': v.double() for k, v in found.items()}
    assert int(model.averaged_generator.steps) == 2
    shown = COMMON if distribute == 'inputs' else (*COMMON, 'loss_mr', 'loss_crps')
    weights = {k.replace('.module.', '.'): v for k, v in model.state_dict().items()}
    return weights | {k: v for k, v in logs.items() if k.split()[0] in shown}


# The noise is in float32, and so are means of it, and the spread in the log
TOLERANCE = dict(tolerance=1e-8, relative=1e-6)
# In the log, and the same in all processes
COMMON = ('sample_std', 'mean_error', 'pred_std', 'grad_gan', 'grad_mr', 'balance_mr')
MR = dict(mr=dict(type='MRLoss', loss_weight=10.0))
PROXY = dict(mr=dict(type='ProxyMRLoss', loss_weight=10.0))
CRPS = dict(crps=dict(type='CRPSLoss', views=dict(pixel=1.0, diff=1.0)))
SEEKING = dict(mr=dict(type='ModeSeekingLoss', loss_weight=1e-3))


def pretraining(scope: Scope, data_root, work_dir) -> dict:
    """The predictor after four iterations of its hook."""
    from mmengine.hooks import Hook
    from mmengine.runner import Runner

    cfg = tiny.load('pix2pix_proxy_mr2_cityscapes', data_root, work_dir)
    cfg.custom_hooks = [cfg.custom_hooks[0]]
    cfg.custom_hooks[0].update(max_iters=4, val_interval=2)
    cfg.model.generator.norm_cfg = dict(type='GN', num_groups=2)
    cfg.train_dataloader.batch_size = 4 // scope.world_size
    cfg.randomness = dict(seed=0, diff_rank_seed=False)
    # Plain gradient descent: Adam's division would blow rounding up.
    cfg.custom_hooks[0].optim_wrapper = dict(
        type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)
    )
    if scope.world_size > 1:
        cfg.launcher = 'pytorch'
        cfg.env_cfg.dist_cfg.backend = 'gloo'
        cfg.model_wrapper_cfg.device_ids = None  # mmengine's default is a GPU's.

    class Stop(Hook):
        priority = 'VERY_LOW'

        def before_train(self, runner):
            runner.train_loop.stop_training = True

    runner = Runner.from_cfg(cfg)
    runner.register_hook(Stop())
    runner.train_loop.run()
    model = getattr(runner.model, 'module', runner.model)
    assert model.predictor.frozen
    return model.predictor.state_dict()


@pytest.mark.parametrize(
    ('host', 'losses'),
    [
        ('pix2pix', MR),
        ('pix2pix', PROXY),
        ('pix2pix', SEEKING),
        ('srgan', PROXY),
        ('esrgan', CRPS),
        ('glcic', PROXY),
        ('edit', MR),
        ('real_esrgan', MR),
        ('aot', MR),
        ('two_stage', PROXY),
        ('wgan', MR),
        ('pix2pix in chunks', MR),
        ('edit in chunks', MR),
    ],
)
def test_inputs_of_its_own(tmp_path, host, losses):
    compare(tmp_path, updates, host, 'inputs', 4, losses, **TOLERANCE)


@pytest.mark.parametrize(
    ('host', 'n', 'losses'),
    [
        ('pix2pix', 4, MR | CRPS),
        ('pix2pix', 1, PROXY),  # the discriminator's batch cannot be shared out
        ('pix2pix', 2, SEEKING),
        ('srgan', 2, PROXY | CRPS),
        ('esrgan', 2, CRPS),
        ('glcic', 2, PROXY),
        ('edit', 2, MR),
        ('wgan', 2, MR),
        ('pix2pix in chunks', 3, MR),
        ('edit in chunks', 1, CRPS),
    ],
)
def test_samples_of_its_own(tmp_path, host, n, losses):
    compare(tmp_path, updates, host, 'samples', n, losses, **TOLERANCE)


def test_pretraining(tmp_path):
    data_root = tiny.write_pairs(tmp_path / 'data', train=8)
    compare(tmp_path, pretraining, data_root, tmp_path / 'work', tolerance=1e-6)
