# ruff: noqa: NPY002  (the run draws from NumPy's global generator)
"""The hook that trains the predictor: when it stops, what it keeps, what it refuses."""

import json
from pathlib import Path

import pytest
import torch
from helpers import tiny

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.hooks import PredictorPretrainHook
from mmagic_mr.hooks.pretraining import Pretraining


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return tiny.write_pairs(tmp_path_factory.mktemp('pairs') / 'data')


def runner_for(
    data_root, work_dir, name='pix2pix_proxy_mr2_cityscapes', resume=False, **hook
):
    """A runner up to where `before_train` is called."""
    from mmengine.runner import Runner

    cfg = tiny.load(name, data_root, work_dir)
    settings = dict(max_iters=6, val_interval=2, log_interval=1) | hook
    cfg.custom_hooks = [cfg.custom_hooks[0] | settings]
    cfg.resume = resume
    return Runner.from_cfg(cfg)


def pretrain(runner):
    (hook,) = (h for h in runner.hooks if isinstance(h, PredictorPretrainHook))
    _ = runner.train_loop, runner.val_loop
    hook.before_train(runner)
    return runner.model.predictor


def test_best_is_kept_and_patience_ends_it(data_root, tmp_path, monkeypatch):
    nlls = iter([0.5, 0.3, 0.4, 0.3, 0.2])
    snapshots = {}

    def scripted(self):
        snapshots[self.iter] = {
            k: v.clone() for k, v in self.predictor.state_dict().items()
        }
        return next(nlls), 3

    monkeypatch.setattr(Pretraining, '_validation_nll', scripted)
    runner = runner_for(data_root, tmp_path, max_iters=20, patience=2)
    predictor = pretrain(runner)
    # Validations at 2, 4, 6, 8: the lowest at 4, then two without improvement.
    assert list(snapshots) == [2, 4, 6, 8]
    kept = predictor.state_dict()
    different = [k for k in kept if not torch.equal(kept[k], snapshots[4][k])]
    assert different == ['trained']
    assert predictor.frozen
    assert bool(predictor.trained)
    folder = tmp_path / 'predictor'
    assert sorted(path.name for path in folder.iterdir()) == ['best.pth', 'last.pth']
    last = torch.load(folder / 'last.pth', weights_only=True)
    assert (last['iter'], last['best_iter'], last['best_nll']) == (
        8,
        4,
        pytest.approx(0.3),
    )


def test_a_likelihood_that_is_not_finite_stops_it(data_root, tmp_path, monkeypatch):
    """Looked at where a line of the log or a validation is due; nothing is saved."""
    theirs, calls = Pretraining._likelihoods, []

    def scripted(self, network, batch):
        terms = theirs(self, network, batch)
        calls.append(self.iter)
        factor = float('nan') if self.iter == 3 else 1.0
        return {view: factor * term for view, term in terms.items()}

    monkeypatch.setattr(Pretraining, '_likelihoods', scripted)
    runner = runner_for(data_root, tmp_path, val_interval=6, log_interval=5)
    with pytest.raises(UserError, match='NLL is not finite at iteration 3: lower'):
        pretrain(runner)
    assert calls == [0, 1, 2, 3, 4]
    assert not list(tmp_path.glob('predictor/*.pth'))


def test_it_learns_and_validates_the_whole_set_frozen(data_root, tmp_path):
    seen = []
    runner = runner_for(
        data_root,
        tmp_path,
        max_iters=30,
        val_interval=30,
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-2)),
    )
    model = runner.model
    model.predictor.register_forward_hook(
        lambda module, args, output: seen.append((module.training, len(args[0])))
    )
    before = runner.model.predictor.state_dict()['log_dispersion.weight'].clone()
    predictor = pretrain(runner)
    assert [training for training, _ in seen[:30]] == [True] * 30
    validation = seen[30:]
    assert not any(training for training, _ in validation)
    assert sum(n for _, n in validation) == 3  # tiny.write_pairs: val=3
    assert not torch.equal(before, predictor.state_dict()['log_dispersion.weight'])
    best = torch.load(tmp_path / 'predictor' / 'best.pth', weights_only=True)
    # The likelihood of knowing nothing (unit variance about 0) is 0.2 here.
    assert best['nll'] < 0


def test_the_log_and_the_visualizer_show_progress(data_root, tmp_path):
    runner = runner_for(data_root, tmp_path)
    pretrain(runner)
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'predictor [1/6] nll: ' in log
    assert 'predictor [6/6] validation nll: ' in log
    assert 'on 3 images' in log
    scalars = [
        json.loads(line)
        for path in tmp_path.glob('*/vis_data/*.json')
        for line in path.read_text().splitlines()
        if 'predictor/' in line
    ]
    assert {key for line in scalars for key in line} >= {
        'predictor/nll',
        'predictor/val_nll',
    }
    assert list(tmp_path.glob('**/events.out.tfevents*'))


def test_random_numbers_of_the_run_are_untouched(data_root, tmp_path):
    import random

    import numpy as np

    runner = runner_for(data_root, tmp_path)
    _ = runner.train_loop, runner.val_loop

    def draws():
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
        values = random.random(), np.random.rand(), torch.rand(()).item()
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        return values, torch.initial_seed()

    before = draws()
    pretrain(runner)
    assert draws() == before


def test_a_checkpoint_is_loaded_instead(data_root, tmp_path):
    first = pretrain(runner_for(data_root, tmp_path / 'a'))
    best = tmp_path / 'a' / 'predictor' / 'best.pth'
    second = pretrain(runner_for(data_root, tmp_path / 'b', checkpoint=str(best)))
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key])
    assert second.frozen
    assert not (tmp_path / 'b' / 'predictor').exists()


def test_predictor_only_ends_the_run(data_root, tmp_path):
    runner = runner_for(data_root, tmp_path, predictor_only=True)
    before = {k: v.clone() for k, v in runner.model.generators.state_dict().items()}
    runner.train_loop.run()
    assert runner.iter == 0
    assert bool(runner.model.predictor.trained)
    after = runner.model.generators.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_missing_checkpoint(data_root, tmp_path):
    runner = runner_for(data_root, tmp_path, checkpoint='nowhere/best.pth')
    with pytest.raises(MissingFileError, match=r"'nowhere/best\.pth' does not exist"):
        pretrain(runner)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'hello', 'not a readable checkpoint'),
        (b'', 'not a readable checkpoint'),
        ([1], 'no checkpoint of a predictor'),
        ({'meta': 1}, 'no checkpoint of a predictor'),
    ],
)
def test_checkpoint_that_is_none(data_root, tmp_path, content, words):
    path = tmp_path / 'best.pth'
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    runner = runner_for(data_root, tmp_path / 'b', checkpoint=str(path))
    with pytest.raises(UserError, match=rf'best\.pth is {words}'):
        pretrain(runner)


def test_checkpoint_of_another_architecture(data_root, tmp_path):
    pretrain(runner_for(data_root, tmp_path / 'a'))
    best = tmp_path / 'a' / 'predictor' / 'best.pth'
    runner = runner_for(data_root, tmp_path / 'b', checkpoint=str(best))
    runner.model.predictor.log_dispersion = torch.nn.Conv2d(8, 3, 3)
    with pytest.raises(UserError, match='does not fit the predictor of this config'):
        pretrain(runner)


def trained_with(work_dir, name):
    """Distribution and order that a file of the hook says it was trained with."""
    state = torch.load(work_dir / 'predictor' / name, weights_only=True)
    return state['distribution'], state['order']


@pytest.mark.parametrize(
    ('name', 'nll', 'words'),
    [
        ('pix2pix_proxy_mr2_laplace_cityscapes', dict(order=2), r'laplace.* order 2'),
        ('pix2pix_proxy_mr2_cityscapes', dict(order=1), r'gaussian.* order 1'),
    ],
)
def test_a_checkpoint_of_another_likelihood_is_refused(
    data_root, tmp_path, name, nll, words
):
    pretrain(runner_for(data_root, tmp_path / 'a'))
    assert trained_with(tmp_path / 'a', 'best.pth') == ('gaussian', 2)
    best = tmp_path / 'a' / 'predictor' / 'best.pth'
    other = dict(type='MomentNLLLoss', **nll)
    runner = runner_for(
        data_root, tmp_path / 'b', name, checkpoint=str(best), nll=other
    )
    message = rf'best\.pth.*gaussian.* order 2.*{words}'
    with pytest.raises(UserError, match=message):
        pretrain(runner)
    assert not bool(runner.model.predictor.trained)


def test_a_run_of_another_likelihood_is_not_resumed(data_root, tmp_path):
    pretrain(runner_for(data_root, tmp_path))
    assert trained_with(tmp_path, 'last.pth') == ('gaussian', 2)
    laplace = 'pix2pix_proxy_mr2_laplace_cityscapes'
    runner = runner_for(data_root, tmp_path, laplace, resume=True)
    with pytest.raises(UserError, match=r'last\.pth.*gaussian.*laplace'):
        pretrain(runner)


@pytest.mark.parametrize(
    ('spoil', 'words'),
    [('cut off', 'is not a readable checkpoint'), ('finished', 'it has no finished')],
)
def test_a_pretraining_does_not_go_on_from_a_spoilt_file(
    data_root, tmp_path, spoil, words
):
    pretrain(runner_for(data_root, tmp_path))
    last = tmp_path / 'predictor' / 'last.pth'
    if spoil == 'cut off':
        last.write_bytes(last.read_bytes()[:1000])
    else:
        state = torch.load(last, weights_only=True)
        del state[spoil]
        torch.save(state, last)
    message = rf'last\.pth.*{words}.*; remove it to train the predictor anew'
    with pytest.raises(UserError, match=message) as error:
        pretrain(runner_for(data_root, tmp_path, resume=True))
    assert 'weights_only' not in str(error.value)


def test_files_that_do_not_say_their_likelihood_are_accepted(data_root, tmp_path):
    pretrain(runner_for(data_root, tmp_path / 'a'))
    best = tmp_path / 'a' / 'predictor' / 'best.pth'
    state = torch.load(best, weights_only=True)
    del state['distribution'], state['order']
    torch.save(state, best)
    runner = runner_for(data_root, tmp_path / 'b', checkpoint=str(best))
    assert bool(pretrain(runner).trained)


def test_a_likelihood_that_the_losses_do_not_ask_for_is_refused(data_root, tmp_path):
    nll = dict(type='MomentNLLLoss', distribution='laplace')
    with pytest.raises(UserError, match=r"nll.*'laplace'.*'gaussian'"):
        pretrain(runner_for(data_root, tmp_path, nll=nll))


def test_a_run_that_dies_while_it_writes_leaves_the_file_before(
    data_root, tmp_path, monkeypatch
):
    pretrain(runner_for(data_root, tmp_path))
    folder = tmp_path / 'predictor'
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write = Path.write_bytes

    def half(path, content):
        write(path, content[:100])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, 'write_bytes', half)
        with pytest.raises(KeyboardInterrupt):
            pretrain(runner_for(data_root, tmp_path))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert bool(pretrain(runner_for(data_root, tmp_path, resume=True)).trained)


def test_no_validation_data(data_root, tmp_path):
    from mmengine.runner import Runner

    cfg = tiny.load('pix2pix_proxy_mr2_cityscapes', data_root, tmp_path)
    cfg.custom_hooks = [cfg.custom_hooks[0]]
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    with pytest.raises(UserError, match=r'needs val_dataloader.*checkpoint=FILE'):
        pretrain(Runner.from_cfg(cfg))


@pytest.mark.parametrize('name', ['max_iters', 'val_interval', 'patience'])
def test_bad_sizes(name):
    sizes = dict(max_iters=1, val_interval=1, patience=1) | {name: 0}
    with pytest.raises(UserError, match=f'{name} must be .* at least 1, got 0'):
        PredictorPretrainHook(**sizes)
