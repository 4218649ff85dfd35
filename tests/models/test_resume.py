"""Runs that are killed and resumed end where uninterrupted ones do, to the bit."""

import multiprocessing
import os
import signal

import pytest
import torch
from helpers import tiny

CONFIG = 'pix2pix_proxy_mr2_maps'  # Its random crops and its noise must repeat too.
# Config, iteration after which it is killed (between two checkpoints, and before an
# update of the discriminator), and how many of those there are in six iterations.
SCHEDULES = [('srgan_proxy_mr2_celeba', 5, 2), ('glcic_proxy_mr2_celeba', 3, 2)]


def train(
    config,
    data_root,
    work_dir,
    resume=False,
    checkpoint=None,
    kill_pretraining=None,
    kill_training=None,
    model=None,
    fast=False,
):
    """Six iterations of each; SIGKILL after the given one."""
    from mmengine.hooks import Hook
    from mmengine.runner import Runner

    from mmagic_mr.hooks.pretraining import Pretraining
    from mmagic_mr.training import enable_fast

    torch.set_num_threads(1)
    cfg = tiny.load(config, data_root, work_dir)
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
    cfg.model.update(model or {})
    if fast:
        enable_fast(cfg)
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

    step = Pretraining._step

    def step_or_die(self, *args):
        if self.iter == kill_pretraining:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, *args)

    Pretraining._step = step_or_die
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


def differing(expected, found):
    assert found.keys() == expected.keys()
    return [k for k in expected if not torch.equal(expected[k], found[k])]


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    import mmagic_mr.plugin  # noqa: F401  Once, here, not in each forked process.

    root = tmp_path_factory.mktemp('resume')
    data_root = tiny.write_pairs(root / 'data', size=64)
    assert run(CONFIG, data_root, root / 'whole') == 0
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
    assert run(CONFIG, data_root, work_dir, **kill) == -signal.SIGKILL
    files = {path.name for path in work_dir.iterdir()}
    assert files >= set(left)
    assert 'iter_6.pth' not in files
    assert run(CONFIG, data_root, work_dir, resume=True) == 0
    assert differing(expected, state(work_dir)) == []


@pytest.mark.parametrize(('config', 'kill', 'updates'), SCHEDULES)
def test_schedule_stays_in_step(config, kill, updates, tmp_path):
    import mmagic_mr.plugin  # noqa: F401

    data_root = tiny.write_data(config, tmp_path / 'data')
    work_dir = tmp_path / 'run'
    assert run(config, data_root, tmp_path / 'whole') == 0
    assert run(config, data_root, work_dir, kill_training=kill) == -signal.SIGKILL
    assert (work_dir / f'iter_{kill - 1}.pth').is_file()
    assert run(config, data_root, work_dir, resume=True) == 0
    expected = state(tmp_path / 'whole')
    assert differing(expected, state(work_dir)) == []
    steps = {
        name.split('.')[0]: int(value)
        for name, value in expected.items()
        if name.endswith('.step')
    }
    assert steps.pop('generator') == 6
    assert list(steps.values()) == [updates]


def test_the_average_of_the_generator_goes_on(tmp_path):
    import mmagic_mr.plugin  # noqa: F401

    config, model = 'srgan_proxy_mr2_celeba', dict(ema=dict(decay=0.5))
    data_root = tiny.write_data(config, tmp_path / 'data')
    work_dir = tmp_path / 'run'
    assert run(config, data_root, tmp_path / 'whole', model=model) == 0
    killed = run(config, data_root, work_dir, kill_training=5, model=model)
    assert killed == -signal.SIGKILL
    assert run(config, data_root, work_dir, resume=True, model=model) == 0
    expected = state(tmp_path / 'whole')
    assert int(expected['averaged_generator.steps']) == 6
    assert differing(expected, state(work_dir)) == []


def test_a_weight_that_is_auto_goes_on(runs, tmp_path):
    root, data_root, _ = runs
    loss = dict(type='CRPSLoss', loss_weight='auto', views=dict(pixel=1.0, pool4=1.0))
    # Measured at each second update, killed where the next one is due
    losses = dict(crps=loss, mr=dict(type='ProxyMRLoss'))
    model = dict(mr_loss=None, sample_losses=losses, balance=dict(interval=2))
    work_dir = tmp_path / 'run'
    assert run(CONFIG, data_root, root / 'auto', model=model) == 0
    killed = run(CONFIG, data_root, work_dir, kill_training=5, model=model)
    assert killed == -signal.SIGKILL
    moved = torch.load(work_dir / 'iter_4.pth', weights_only=False)['state_dict']
    assert run(CONFIG, data_root, work_dir, resume=True, model=model) == 0
    expected = state(root / 'auto')
    assert differing(expected, state(work_dir)) == []
    (name,) = (key for key in expected if key.endswith('auto_weight'))
    assert 0 < expected[name] != moved[name] > 0


def test_a_trained_predictor_serves_another_run(runs, tmp_path):
    root, data_root, expected = runs
    best = root / 'whole' / 'predictor' / 'best.pth'
    assert run(CONFIG, data_root, tmp_path / 'run', checkpoint=str(best)) == 0
    assert not (tmp_path / 'run' / 'predictor').exists()
    assert differing(expected, state(tmp_path / 'run')) == []


def test_with_the_recommended_switches_too(runs):
    root, data_root, plain = runs
    assert run(CONFIG, data_root, root / 'fast', fast=True) == 0
    whole = state(root / 'fast')
    work_dir = root / 'fast_killed'
    assert run(CONFIG, data_root, work_dir, fast=True, kill_training=5) != 0
    assert run(CONFIG, data_root, work_dir, fast=True, resume=True) == 0
    assert differing(whole, state(work_dir)) == []
    log = ''.join(path.read_text() for path in work_dir.glob('*/*.log'))
    assert 'amp: networks compute in bfloat16 on cpu' in log or not bf16_here()
    # Nothing is added to a checkpoint, and nothing left out
    assert whole.keys() == plain.keys()
    saved = torch.load(root / 'fast' / 'iter_6.pth', weights_only=False)
    for optimizer in saved['optimizer'].values():
        assert {group['fused'] for group in optimizer['param_groups']} == {None}


def bf16_here():
    from mmagic_mr.optim import bf16_supported

    return bf16_supported(torch.device('cpu'))
