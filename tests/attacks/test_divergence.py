"""A training that diverges stops, and leaves its last finite checkpoint."""

import re

import pytest
import torch
from helpers import tiny
from mmengine.hooks import Hook

from mmagic_mr.errors import UserError

CONFIG = 'pix2pix_noise_cityscapes'


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return tiny.write_pairs(tmp_path_factory.mktemp('pairs') / 'data')


class Attack(Hook):
    """From an iteration on, one network's rate is ``lr``."""

    def __init__(self, network, lr, start):
        self.network, self.lr, self.start = network, lr, start

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.start:
            for group in runner.optim_wrapper[self.network].param_groups:
                group['lr'] = self.lr


def runner_for(data_root, work_dir, *hooks, resume=False, max_iters=12, **overrides):
    """The stock hooks, a checkpoint each second iteration, no validation."""
    from mmengine.runner import Runner

    cfg = tiny.load(CONFIG, data_root, work_dir)
    cfg.merge_from_dict(
        {'train_cfg.max_iters': max_iters, 'train_cfg.val_interval': 100} | overrides
    )
    cfg.custom_hooks, cfg.resume = [], resume
    runner = Runner.from_cfg(cfg)
    runner.val_loop.run = lambda: None
    for hook in hooks:
        runner.register_hook(hook)
    return runner


def is_finite(path):
    state = torch.load(path, weights_only=False)['state_dict']
    return all(v.isfinite().all() for v in state.values())


@pytest.mark.parametrize(
    ('network', 'lr'), [('generators', 1e30), ('discriminators', 1e38)]
)
def test_a_rate_far_too_high_stops_with_term_and_iteration(
    data_root, tmp_path, network, lr
):
    runner = runner_for(data_root, tmp_path, Attack(network, lr, start=5))
    with pytest.raises(UserError) as caught:
        runner.train()
    said = str(caught.value)
    assert '\n' not in said
    iteration = int(re.search(r'not finite at iteration (\d+)', said)[1])
    assert 5 <= iteration <= 8
    assert re.search(r'loss_\w+|generators\.\w+|discriminators\.\w+', said)
    assert 'learning rate' in said
    kept = sorted(tmp_path.glob('iter_*.pth'))
    assert tmp_path / 'iter_4.pth' in kept
    assert all(is_finite(path) for path in kept)
    last = (tmp_path / 'last_checkpoint').read_text()
    assert last in said

    again = runner_for(data_root, tmp_path, resume=True)
    again.train()
    assert again.iter == 12
    assert is_finite(tmp_path / 'iter_12.pth')
