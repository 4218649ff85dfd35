"""A run that is resumed with another config than that of its checkpoint."""

import re

import pytest
import torch
from helpers import toy_run

from mmagic_mr.errors import UserError
from mmagic_mr.inference import load_weights

HOOK = dict(type='PredictorPretrainHook', max_iters=2, val_interval=1)


def with_order(order):
    return [dict(HOOK, nll=dict(type='MomentNLLLoss', order=order))]


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('resumed')
    toy_run.train(work_dir)
    return work_dir / 'iter_4.pth'


def resume(trained, tmp_path, **changes):
    return toy_run.train(
        tmp_path / 'run', max_iters=4, resume=True, load_from=str(trained), **changes
    )


@pytest.mark.parametrize(
    ('key', 'value', 'words'),
    [
        ('model.num_samples', 8, '4 -> 8'),
        ('model.mr_loss.loss_weight', 3.0, r'\(none\) -> 3.0'),
        ('model.data_preprocessor', dict(type='BaseDataPreprocessor'), r'\(none\) -> '),
        ('train_dataloader.dataset.data_root', 'other', r"\(none\) -> 'other'"),
        ('optim_wrapper.optimizer.lr', 0.2, '0.1 -> 0.2'),
        ('randomness.seed', 2, '1 -> 2'),
    ],
)
def test_what_changes_the_training_is_said(trained, tmp_path, capfd, key, value, words):
    resume(trained, tmp_path, **{key: value})
    said = capfd.readouterr()
    lines = [
        line
        for line in (said.out + said.err).splitlines()
        if 'resumed with another config' in line
    ]
    assert len(lines) == 1, lines
    assert key in lines[0]
    assert 'WARNING' in lines[0]
    assert re.search(words, lines[0])


def test_the_same_config_is_not_remarked_on(trained, tmp_path, capfd):
    resume(trained, tmp_path)
    said = capfd.readouterr()
    assert 'another config' not in said.out + said.err


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('model.generator.channels', 3),
        ('model.noise.type', 'uniform'),
        ('model.noise.extent', 'global'),
        ('model.noise.sites', {'other': 8}),
        ('model.mr_loss.distribution', 'laplace'),
        ('model.predictor.channels', 3),
    ],
)
def test_what_changes_the_parameters_is_refused(trained, tmp_path, key, value):
    with pytest.raises(UserError, match=r'cannot resume from .*iter_4\.pth') as error:
        resume(trained, tmp_path, **{key: value})
    assert key in str(error.value)


def test_another_order_of_the_likelihood_is_refused(tmp_path):
    toy_run.train(tmp_path, custom_hooks=[])
    state = torch.load(tmp_path / 'iter_4.pth')
    cfg = toy_run.config(tmp_path)
    cfg.custom_hooks = with_order(1)
    state['meta']['cfg'] = cfg.pretty_text
    torch.save(state, tmp_path / 'iter_4.pth')
    with pytest.raises(UserError, match=r'custom_hooks\.0\.nll\.order: 1 -> 2'):
        toy_run.train(tmp_path, resume=True, custom_hooks=with_order(2))


def test_other_shapes_under_the_same_config_are_refused(trained, tmp_path):
    state = torch.load(trained)
    state['state_dict']['generator.weight'] = torch.zeros(1, 3)
    torch.save(state, tmp_path / 'other.pth')
    with pytest.raises(UserError, match=r'other\.pth.*generator\.weight \(1, 3\)'):
        resume(tmp_path / 'other.pth', tmp_path)


@pytest.mark.parametrize('part', ['meta', 'message_hub', 'state_dict', 'iter'])
def test_a_file_that_holds_no_run_is_not_resumed(trained, tmp_path, part):
    state = torch.load(trained)
    del (state['meta'] if part == 'iter' else state)[part]
    torch.save(state, tmp_path / 'part.pth')
    with pytest.raises(UserError, match=r'cannot resume from .*part\.pth'):
        resume(tmp_path / 'part.pth', tmp_path)


def test_weights_of_another_config_begin_a_run_without_a_word(trained, tmp_path, capfd):
    changed = {'model.num_samples': 8}
    toy_run.train(tmp_path / 'run', load_from=str(trained), **changed)
    said = capfd.readouterr()
    assert 'another config' not in said.out + said.err


@pytest.mark.parametrize('resumed', [False, True])
def test_a_predictor_of_another_distribution_is_refused(trained, tmp_path, resumed):
    """Where the configs do not show it: the checkpoint itself says what it holds."""
    state = torch.load(trained)
    state['meta'] |= {'cfg': 'import os', 'moment_distribution': 'laplace'}
    torch.save(state, tmp_path / 'laplace.pth')
    with pytest.raises(UserError, match=r"laplace\.pth.*'laplace'.*'gaussian'"):
        toy_run.train(
            tmp_path / 'run', resume=resumed, load_from=str(tmp_path / 'laplace.pth')
        )
    with pytest.raises(UserError, match=r"laplace\.pth.*'laplace'.*'gaussian'"):
        load_weights(toy_run.model(), tmp_path / 'laplace.pth')
    load_weights(toy_run.model(), trained)


@pytest.mark.parametrize(
    'text', ['a=' + '(' * 100_000, 'a=' + '-' * 100_000 + '1', 'a=[f() for f in b]', 3]
)
def test_a_config_that_cannot_be_read_is_not_compared(trained, tmp_path, capfd, text):
    state = torch.load(trained)
    state['meta']['cfg'] = text
    torch.save(state, tmp_path / 'odd.pth')
    resume(tmp_path / 'odd.pth', tmp_path)
    said = capfd.readouterr()
    assert 'odd.pth holds no config of plain values' in said.out + said.err
