"""Runs that die while they save: there is always a whole checkpoint to go on from."""

import errno
import multiprocessing
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from helpers import toy_run
from mmengine.runner import Runner, find_latest_checkpoint

from mmagic_mr.errors import UserError
from mmagic_mr.inference import load_weights

FILE_EVENTS = {'open', 'os.rename', 'os.remove', 'os.truncate', 'os.chmod', 'os.mkdir'}


def train_until_event(work_dir, number, **settings):
    """Dies before its file operation of this number after the first checkpoint."""
    count = 0

    def hook(event, arguments):
        nonlocal count
        if event not in FILE_EVENTS or not os.path.exists(work_dir / 'last_checkpoint'):
            return
        names = [os.path.basename(str(argument)) for argument in arguments]
        if any('.pth' in name or 'last_checkpoint' in name for name in names):
            count += 1
            if count == number:
                os._exit(9)

    sys.addaudithook(hook)
    toy_run.train(work_dir, **settings)
    os._exit(0)


def exit_code(*args, **kwargs):
    """Of `train_until_event` in a process of its own."""
    process = multiprocessing.get_context('fork').Process(
        target=train_until_event, args=args, kwargs=kwargs
    )
    process.start()
    process.join()
    return process.exitcode


def parameters(work_dir, name):
    return torch.load(work_dir / name)['state_dict']


@pytest.mark.parametrize('keep', [1, 2])
def test_killed_before_any_file_operation_and_resumed(tmp_path, keep):
    settings = dict(max_iters=6, checkpoint=dict(max_keep_ckpts=keep))
    toy_run.train(tmp_path / 'whole', **settings)
    expected = parameters(tmp_path / 'whole', 'iter_6.pth')
    for number in range(1, 100):
        work_dir = tmp_path / f'killed_{number}'
        if exit_code(work_dir, number, **settings) == 0:
            break
        assert find_latest_checkpoint(str(work_dir)) is not None, number
        toy_run.train(work_dir, resume=True, **settings)
        found = parameters(work_dir, 'iter_6.pth')
        assert all(torch.equal(expected[name], found[name]) for name in expected)
        # Nothing is left of what was being written
        assert not list(work_dir.glob('.*')), number
    assert 6 < number < 60
    assert len(list((tmp_path / 'whole').glob('iter_*.pth'))) == keep


def full_disk(monkeypatch, after):
    """From the given checkpoint on, half of it is written."""
    write, written = Path.write_bytes, []

    def write_until_full(path, content):
        written.append(path)
        if len(written) <= after:
            return write(path, content)
        write(path, content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, 'write_bytes', write_until_full)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        full_disk(patch, after=1)
        with pytest.raises(OSError, match='No space'):
            toy_run.train(tmp_path)
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_2.pth']
    assert toy_run.train(tmp_path, resume=True).iter == 4
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_4.pth']


def test_a_full_disk_leaves_the_best_checkpoint(tmp_path, monkeypatch):
    runner = toy_run.train(tmp_path, checkpoint=dict(save_best='acc', interval=100))
    runner.train_loop._iter = 3
    (hook,) = [hook for hook in runner.hooks if hasattr(hook, 'max_keep_ckpts')]
    hook.after_val_epoch(runner, {'acc': 0.1})
    runner.train_loop._iter = 4
    # Twice at the same iteration: the file of the same name stays
    hook.after_val_epoch(runner, {'acc': 0.2})
    hook.after_val_epoch(runner, {'acc': 0.3})
    assert [path.name for path in tmp_path.glob('best*')] == ['best_acc_iter_4.pth']
    runner.train_loop._iter = 5
    full_disk(monkeypatch, after=0)
    with pytest.raises(OSError, match='No space'):
        hook.after_val_epoch(runner, {'acc': 0.4})
    assert [path.name for path in tmp_path.glob('best*')] == ['best_acc_iter_4.pth']


def noted(work_dir):
    return (work_dir / 'last_checkpoint').read_text()


@pytest.mark.parametrize('how', ['moved', 'copied'])
@pytest.mark.parametrize('note', ['relative', 'absolute'])
def test_a_work_dir_elsewhere_goes_on_from_its_own_checkpoint(tmp_path, how, note):
    toy_run.train(tmp_path / 'old')
    assert noted(tmp_path / 'old') == 'iter_4.pth'
    if note == 'absolute':  # as mmengine writes it
        path = tmp_path / 'old' / 'iter_4.pth'
        (tmp_path / 'old' / 'last_checkpoint').write_text(str(path))
    (shutil.move if how == 'moved' else shutil.copytree)(
        tmp_path / 'old', tmp_path / 'new'
    )
    found = find_latest_checkpoint(str(tmp_path / 'new'))
    assert found == str(tmp_path / 'new' / 'iter_4.pth')
    assert toy_run.train(tmp_path / 'new', max_iters=6, resume=True).iter == 6


@pytest.mark.parametrize('size', [0, 1000])
def test_a_cut_off_checkpoint_gives_way_to_the_one_before(tmp_path, size, capfd):
    toy_run.train(tmp_path, checkpoint=dict(max_keep_ckpts=2))
    newest = tmp_path / 'iter_4.pth'
    newest.write_bytes(newest.read_bytes()[:size])
    assert toy_run.train(tmp_path, resume=True).iter == 4
    said = capfd.readouterr()
    words = f'Resuming from {tmp_path / "iter_2.pth"}'
    assert words in said.out + said.err
    assert 'iter_4.pth is not a readable checkpoint' in said.out + said.err


@pytest.mark.parametrize('content', [None, '', '  \n', 'iter_9.pth', '/x/iter_9.pth'])
def test_a_note_that_names_nothing_gives_way_to_the_newest(tmp_path, content, capfd):
    toy_run.train(tmp_path)
    (tmp_path / 'last_checkpoint').unlink()
    if content is not None:
        (tmp_path / 'last_checkpoint').write_text(content)
    assert toy_run.train(tmp_path, max_iters=6, resume=True).iter == 6
    said = capfd.readouterr()
    assert f'Resuming from {tmp_path / "iter_4.pth"}' in said.out + said.err


@pytest.mark.parametrize('content', ['', 'iter_9.pth', '../other/iter_4.pth'])
def test_a_note_of_a_folder_without_checkpoints_is_refused(tmp_path, content):
    toy_run.train(tmp_path / 'other')
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'last_checkpoint').write_text(content)
    with pytest.raises(UserError, match=r'last_checkpoint.*--resume CHECKPOINT'):
        toy_run.train(tmp_path / 'run', resume=True)


def test_the_only_checkpoint_is_cut_off(tmp_path):
    toy_run.train(tmp_path)
    (tmp_path / 'iter_4.pth').write_bytes(b'PK')
    with pytest.raises(UserError, match=r'no whole checkpoint .*iter_4\.pth is not'):
        toy_run.train(tmp_path, resume=True)


def test_nothing_yet_is_a_start_from_scratch(tmp_path):
    assert toy_run.train(tmp_path, resume=True).iter == 4


@pytest.mark.parametrize('old', [False, True])
@pytest.mark.parametrize('resumed_wrapped', [False, True])
def test_a_distributed_run_is_resumed_with_its_weights(tmp_path, old, resumed_wrapped):
    """torch names the parameters of a wrapped part otherwise than mmengine loads them.

    mmengine then goes on from new weights, with a warning.
    """
    path = tmp_path / 'iter_4.pth'
    toy_run.train(tmp_path, **{'model.wrapped': True})
    state = torch.load(path)
    assert set(state['state_dict']) == {'generator.weight', 'generator.bias'}
    weight = state['state_dict']['generator.weight']
    if old:
        state['state_dict'] = {
            name.replace('generator.', 'generator.module.'): value
            for name, value in state['state_dict'].items()
        }
        torch.save(state, path)
    settings = {'model.wrapped': resumed_wrapped, 'optim_wrapper.optimizer.lr': 0.0}
    cfg = toy_run.config(tmp_path, **settings)
    cfg.resume = True
    runner = Runner.from_cfg(cfg)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    _ = runner.train_loop
    runner.load_or_resume()
    (found,) = (p for n, p in runner.model.named_parameters() if n.endswith('weight'))
    assert torch.equal(found, weight)
    model = toy_run.model()
    load_weights(model, path)
    assert torch.equal(model.generator.weight, weight)
