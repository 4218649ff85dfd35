"""Two processes with half the batch each compute what one does with the whole."""

import copy
import os
from functools import partial

import pytest
import torch
import torch.distributed as torch_dist
import torch.multiprocessing
from helpers import hosts, pix2pix, tiny
from mmengine.model import (
    MMDistributedDataParallel,
    MMSeparateDistributedDataParallel,
)


class Scope:
    """Both sides of a comparison start the same, and see batches in the same order."""

    def __init__(self, world_size: int, rank: int):
        self.world_size, self.rank = world_size, rank

    def half(self, data: dict) -> dict:
        n = len(data['inputs']) // self.world_size
        part = slice(self.rank * n, (self.rank + 1) * n)
        return {key: value[part] for key, value in copy.deepcopy(data).items()}


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
        partial(pix2pix.build, sample_chunk=2),
        pix2pix.optim_wrapper,
        pix2pix.data,
    ),
    'srgan': (partial(hosts.build, hosts.SRGAN), hosts.optim_wrapper, hosts.sr_data),
    'glcic': (partial(hosts.build, hosts.GLCIC), hosts.optim_wrapper, hosts.gl_data),
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
        partial(hosts.optim_wrapper, optimizer=dict(type='SGD', lr=1e-4)),
        hosts.sr_data,
    ),
    'edit in chunks': (
        partial(hosts.build, hosts.EDIT, sample_chunk=2),
        partial(hosts.optim_wrapper, optimizer=dict(type='SGD', lr=1e-4)),
        hosts.sr_data,
    ),
}


def updates(scope: Scope, host: str, proxy: bool) -> dict:
    """Parameters, and their averages, after two iterations."""
    from mmengine import MessageHub

    build, optim_wrapper, data = HOSTS[host]
    loss = dict(type='ProxyMRLoss' if proxy else 'MRLoss', loss_weight=10.0)
    model = build(mr_loss=loss, ema=dict(decay=0.9)).double()
    if proxy:
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
    for iteration in range(2):
        MessageHub.get_current_instance().update_info('iter', iteration)
        wrapped.train_step(scope.half(data(n=4)), wrappers)
    assert int(model.averaged_generator.steps) == 2
    return {k.replace('.module.', '.'): v for k, v in model.state_dict().items()}


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


def worker(rank, world_size, port, folder, function, args):
    os.environ.update(
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world_size),
    )
    torch.set_num_threads(1)
    if world_size > 1:
        torch_dist.init_process_group('gloo', rank=rank, world_size=world_size)
    result = function(Scope(world_size, rank), *args)
    torch.save(result, folder / f'{world_size}_{rank}.pth')
    if world_size > 1:
        torch_dist.barrier()
        torch_dist.destroy_process_group()


def compare(folder, function, *args, tolerance):
    import mmagic_mr.plugin  # noqa: F401  Once, here, not in each forked process.

    for world_size in 1, 2:
        torch.multiprocessing.start_processes(
            worker,
            (world_size, free_port(), folder, function, args),
            nprocs=world_size,
            start_method='fork',
        )
    one, *two = (torch.load(folder / f'{name}.pth') for name in ('1_0', '2_0', '2_1'))
    assert one.keys() == two[0].keys()
    for name in one:
        assert torch.equal(two[0][name], two[1][name]), name
        torch.testing.assert_close(two[0][name], one[name], rtol=1e-13, atol=tolerance)


def free_port() -> int:
    import socket

    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


@pytest.mark.parametrize(
    ('host', 'proxy'),
    [
        ('pix2pix', False),
        ('pix2pix', True),
        ('srgan', True),
        ('glcic', True),
        ('real_esrgan', False),
        ('aot', False),
        ('two_stage', True),
        ('edit', False),
        ('wgan', False),
        ('pix2pix in chunks', False),
        ('edit in chunks', False),
    ],
)
def test_updates(tmp_path, host, proxy):
    compare(tmp_path, updates, host, proxy, tolerance=1e-10)


def test_pretraining(tmp_path):
    data_root = tiny.write_pairs(tmp_path / 'data', train=8)
    compare(tmp_path, pretraining, data_root, tmp_path / 'work', tolerance=1e-6)
