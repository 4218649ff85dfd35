"""A training that diverges stops, and leaves its last finite checkpoint."""

import re
from itertools import pairwise

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


class Spoil(Hook):
    """From an iteration on for some iterations, a gradient is NaN."""

    def __init__(self, start, count=1):
        self.iterations = range(start, start + count)

    def before_train(self, runner):
        first = next(runner.model.generators.parameters())
        spoil = torch.tensor(torch.nan)
        first.register_hook(
            lambda g: g * spoil if runner.iter + 1 in self.iterations else g
        )


STOCK = 'default_hooks.divergence'


def test_a_bad_gradient_is_found_by_the_weights_it_makes(data_root, tmp_path):
    runner = runner_for(data_root, tmp_path, Spoil(start=4))
    with pytest.raises(UserError, match=r'generators.* not finite at iteration 4'):
        runner.train()
    assert [p.name for p in tmp_path.glob('iter_*.pth')] == ['iter_2.pth']
    assert is_finite(tmp_path / 'iter_2.pth')


def test_between_two_readings_the_first_bad_loss_is_kept(data_root, tmp_path):
    options = {'default_hooks.checkpoint.interval': 100, f'{STOCK}.interval': 6}
    runner = runner_for(data_root, tmp_path, Spoil(start=3), **options)
    with pytest.raises(UserError, match=r'loss_\w+.* not finite at iteration 4') as e:
        runner.train()
    assert runner.iter + 1 == 6
    assert 'no checkpoint was written yet' in str(e.value)


def test_the_device_is_waited_for_at_the_interval_alone(
    data_root, tmp_path, monkeypatch
):
    from mmagic_mr.hooks.divergence import FirstNonFinite

    read, at = FirstNonFinite.read, []
    options = {'default_hooks.checkpoint.interval': 7, f'{STOCK}.interval': 5}
    runner = runner_for(data_root, tmp_path, **options)
    monkeypatch.setattr(
        FirstNonFinite, 'read', lambda self: at.append(runner.iter + 1) or read(self)
    )
    runner.train()
    assert at == [5, 7, 10, 12]


def test_some_updates_are_left_out_and_the_training_goes_on(data_root, tmp_path):
    options = {f'{STOCK}.max_skips': 2}
    spoil = Spoil(start=3, count=2)
    runner = runner_for(data_root, tmp_path, spoil, max_iters=6, **options)
    before = []

    class Watch(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            weights = runner.model.generators.parameters()
            before.append(torch.cat([w.detach().flatten() for w in weights]))

    runner.register_hook(Watch())
    runner.train()
    moved = [not torch.equal(a, b) for a, b in pairwise(before)]
    assert moved == [True, False, False, True, True]
    assert is_finite(tmp_path / 'iter_6.pth')


def test_an_endless_row_of_left_out_updates_stops(data_root, tmp_path):
    options = {f'{STOCK}.max_skips': 2}
    runner = runner_for(data_root, tmp_path, Spoil(start=3, count=99), **options)
    with pytest.raises(UserError, match=r'gradients of generators not .* iteration 5'):
        runner.train()
    assert is_finite(tmp_path / 'iter_4.pth')


def test_whoever_saves_nothing_that_is_not_finite_is_written(data_root, tmp_path):
    options = {'default_hooks.checkpoint': None, f'{STOCK}.interval': 100}

    class Save(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter == 3:
                # Seen by no loss: training normalizes by the batch.
                next(runner.model.discriminators.buffers()).fill_(torch.nan)
            if runner.iter in (2, 3):
                runner.save_checkpoint(str(tmp_path), f'{runner.iter + 1}.pth')

    runner = runner_for(data_root, tmp_path, Save(), **options)
    with pytest.raises(UserError, match=r'discriminators\.\w+.* at iteration 4'):
        runner.train()
    assert [p.name for p in tmp_path.glob('*.pth')] == ['3.pth']


def test_a_scaler_may_have_infinite_gradients_but_not_for_ever(data_root, tmp_path):
    options = {f'{STOCK}.max_skips': 2, f'{STOCK}.interval': 1}
    runner = runner_for(data_root, tmp_path, Spoil(3, 99), max_iters=60, **options)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    for wrapper in runner.optim_wrapper.values():
        scaler = wrapper.loss_scaler = torch.amp.GradScaler('cpu')

        def backward(loss, wrapper=wrapper, scaler=scaler):
            scaler.scale(loss).backward()
            wrapper._inner_count += 1

        def step(wrapper=wrapper, scaler=scaler):
            scaler.step(wrapper.optimizer)
            scaler.update()

        wrapper.backward, wrapper.step = backward, step
    with pytest.raises(UserError, match='scaled gradients of generators') as caught:
        runner.train()
    # 2^16 at the start, halved by each update that is left out.
    assert int(re.search(r'at iteration (\d+)', str(caught.value))[1]) == 2 + 16 + 25


def _ranks(rank, folder, said):
    from types import SimpleNamespace

    import torch.distributed as torch_dist

    from mmagic_mr.hooks import DivergenceHook

    torch_dist.init_process_group(
        'gloo', init_method=f'file://{folder}/door', rank=rank, world_size=2
    )
    hub = SimpleNamespace(runtime_info={})
    runner = SimpleNamespace(
        iter=0, max_iters=9, hooks=[], message_hub=hub, model=torch.nn.Linear(2, 2)
    )
    runner.optim_wrapper = None
    hook = DivergenceHook(interval=2)
    try:
        for runner.iter in range(4):
            loss = torch.tensor(torch.inf if (rank, runner.iter) == (1, 2) else 1.0)
            hook.after_train_iter(runner, 0, outputs=dict(loss_pixel=loss))
    except UserError as error:
        said[rank] = str(error)


def test_all_ranks_stop_together(tmp_path):
    said = torch.multiprocessing.Manager().dict()
    torch.multiprocessing.start_processes(
        _ranks, (str(tmp_path), said), nprocs=2, start_method='fork'
    )
    assert said[0] == said[1]
    assert 'loss_pixel not finite at iteration 3' in said[0]
