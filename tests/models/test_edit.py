"""MREditModel: one optimizer wrapper, no discriminator."""

import copy

import pytest
import torch
from helpers import hosts
from mmagic.registry import MODELS
from mmengine import MessageHub
from mmengine.model import MMDistributedDataParallel

CRPS = dict(type='CRPSLoss')


def test_the_hosts_own_loss_is_mmagics():
    pixel = dict(type='MSELoss', loss_weight=3.0)
    ours = hosts.build(hosts.EDIT, pixel_loss=pixel, mr_loss=None, num_samples=1)
    stock = hosts.stock_config(hosts.EDIT) | dict(pixel_loss=pixel)
    theirs = MODELS.build(stock)
    theirs.load_state_dict(ours.state_dict(), strict=False)
    for site in ours.noise_sites:
        torch.nn.init.zeros_(ours.generator.get_submodule(site).noise.conv.weight)
    results = []
    for model in ours, theirs:
        logs = model.train_step(hosts.sr_data(), hosts.optim_wrapper_of(model))
        results.append((logs['loss'], model.state_dict()))
    (loss, state), (expected, stock_state) = results
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    for name, value in stock_state.items():
        torch.testing.assert_close(state[name], value, rtol=1e-5, atol=1e-7)


def test_a_scoring_rule_alone_opens_the_spread_of_what_is_not_known():
    """One input, two answers: after a short training the samples reach both."""
    model = hosts.build(
        hosts.EDIT | dict(generator=dict(hosts.EDIT['generator'], mid_channels=16)),
        mr_loss=CRPS,
        num_samples=6,
    )
    data = hosts.sr_data(2)
    data['inputs'] = [torch.full((3, 8, 8), 128.0)] * 2
    for sample, level in zip(data['data_samples'], (80.0, 176.0), strict=True):
        sample.gt_img = torch.full((3, 32, 32), level)
    wrapper = hosts.optim_wrapper_of(model, optimizer=dict(type='Adam', lr=6e-3))
    for _ in range(40):
        logs = model.train_step(copy.deepcopy(data), wrapper)
    assert logs.keys() == {'loss', 'loss_mr', 'sample_std', 'mean_error'}
    # A standard deviation of 48 levels, 0.38 in [-1, 1]; L1 would leave none.
    assert 0.25 < logs['sample_std'] < 0.5


@pytest.fixture
def _from_iteration_0():
    """As a Runner that starts; none drives the training."""
    MessageHub.get_current_instance().update_info('iter', 0)


@pytest.mark.usefixtures('_from_iteration_0')
def test_only_the_first_inputs_and_each_loss_in_its_turn():
    losses = dict(often=CRPS, seldom=dict(type='MRLoss', order=1))
    model = hosts.build(hosts.EDIT, sample_losses=losses, gen_batch_size=2)
    model.sample_losses['seldom'].every = 3
    seen = []
    model.sample_losses['often'].register_forward_pre_hook(
        lambda module, args: seen.append(args[0].shape[:2])
    )
    wrapper = hosts.optim_wrapper_of(model)
    turns = [
        'loss_seldom' in model.train_step(hosts.sr_data(), wrapper) for _ in range(7)
    ]
    assert turns == [True, False, False] * 2 + [True]
    assert set(seen) == {(2, 3)}


@pytest.mark.usefixtures('_from_iteration_0')
def test_an_update_without_any_loss_is_an_error():
    model = hosts.build(hosts.EDIT, sample_losses=dict(seldom=CRPS))
    model.sample_losses['seldom'].every = 2
    wrapper = hosts.optim_wrapper_of(model)
    assert 'loss_seldom' in model.train_step(hosts.sr_data(), wrapper)
    with pytest.raises(ValueError, match=r'update 1 of the generator has no loss'):
        model.train_step(hosts.sr_data(), wrapper)


def test_distributed_wrapper_trains_through_forward(tmp_path):
    """mmengine wraps the whole model and calls `forward`, not `train_step`."""
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/rendezvous', rank=0, world_size=1
    )
    try:
        model = hosts.build(hosts.EDIT, mr_loss=CRPS)
        wrapped = MMDistributedDataParallel(model)
        before = hosts.parameters(model)
        logs = wrapped.train_step(hosts.sr_data(), hosts.optim_wrapper_of(wrapped))
        assert {'loss_mr', 'sample_std'} <= logs.keys()
        assert hosts.moved(before, model)
    finally:
        torch.distributed.destroy_process_group()
