"""Runs that are killed and resumed end where uninterrupted ones do, to the bit."""

import multiprocessing
import os
import signal

import pytest
import tiny
import torch

CONFIG = 'pix2pix_proxy_mr2_maps'  # Its random crops and its noise must repeat too.


def train(
    data_root,
    work_dir,
    resume=False,
    checkpoint=None,
    kill_pretraining=None,
    kill_training=None,
):
    """Six iterations of each; SIGKILL after the given one."""
    from mmengine.hooks import Hook
    from mmengine.runner import Runner

    from mmagic_mr.hooks import predictor_pretrain

    torch.set_num_threads(1)
    cfg = tiny.load(CONFIG, data_root, work_dir)
    cfg.merge_from_dict(
        {
            'custom_hooks': [cfg.custom_hooks[0]],
            'train_cfg.max_iters': 6,
            'train_cfg.val_interval': 100,
            'train_dataloader.num_workers': 2,
            'train_dataloader.persistent_workers': True,
            'train_dataloader.batch_size': 2,
            'resume': resume,
        }
    )
    cfg.val_evaluator = cfg.test_evaluator = dict(
        type='Evaluator', metrics=[dict(type='MAE', gt_key='a', pred_key='b')]
    )
    cfg.custom_hooks[0].update(
        max_iters=6, val_interval=2, log_interval=1, checkpoint=checkpoint
    )
    for step in cfg.train_dataloader.dataset.pipeline:
        if step.type == 'FixedCrop':
            step.crop_size = (32, 32)

    class Kill(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter + 1 == kill_training:
                os.kill(os.getpid(), signal.SIGKILL)

    step = predictor_pretrain._Pretraining._step

    def step_or_die(self, *args):
        if self.iter == kill_pretraining:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, *args)

    predictor_pretrain._Pretraining._step = step_or_die
    runner = Runner.from_cfg(cfg)
    runner.val_loop.run = lambda: None  # The last iteration's; no metric is needed.
    runner.register_hook(Kill())
    runner.train()


def run(*args, **kwargs):
    """`train` in a process of its own; its exit code."""
    process = multiprocessing.get_context('fork').Process(
        target=train, args=args, kwargs=kwargs
    )
    process.start()
    process.join()
    return process.exitcode


def state(work_dir):
    checkpoint = torch.load(
        work_dir / 'iter_6.pth', map_location='cpu', weights_only=False
    )
    optimizers = checkpoint['optimizer']
    moments = {
        f'{name}.{index}.{key}': value
        for name, optimizer in optimizers.items()
        for index, slots in optimizer['state'].items()
        for key, value in slots.items()
    }
    return checkpoint['state_dict'] | moments


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    import mmagic_mr.plugin  # noqa: F401  Once, here, not in each forked process.

    root = tmp_path_factory.mktemp('resume')
    data_root = tiny.write_pairs(root / 'data', size=64)
    assert run(data_root, root / 'whole') == 0
    return root, data_root, state(root / 'whole')


@pytest.mark.parametrize(
    ('kill', 'left'),
    [
        (dict(kill_pretraining=3), ['predictor']),
        (dict(kill_training=1), ['predictor']),
        (dict(kill_training=5), ['iter_4.pth', 'predictor']),
    ],
)
def test_killed_and_resumed(runs, kill, left, tmp_path):
    _, data_root, expected = runs
    work_dir = tmp_path / 'run'
    assert run(data_root, work_dir, **kill) == -signal.SIGKILL
    files = {path.name for path in work_dir.iterdir()}
    assert files >= set(left)
    assert 'iter_6.pth' not in files
    assert run(data_root, work_dir, resume=True) == 0
    resumed = state(work_dir)
    assert resumed.keys() == expected.keys()
    different = [k for k in expected if not torch.equal(expected[k], resumed[k])]
    assert different == []


def test_a_trained_predictor_serves_another_run(runs, tmp_path):
    root, data_root, expected = runs
    best = root / 'whole' / 'predictor' / 'best.pth'
    assert run(data_root, tmp_path / 'run', checkpoint=str(best)) == 0
    assert not (tmp_path / 'run' / 'predictor').exists()
    served = state(tmp_path / 'run')
    different = [k for k in expected if not torch.equal(expected[k], served[k])]
    assert different == []
