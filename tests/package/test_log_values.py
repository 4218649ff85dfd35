"""mmengine's log, with its values fetched together."""

import copy

import pytest
import torch
from helpers.elsewhere import second_device
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.optim import OptimWrapper

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr import log_values
from mmagic_mr.log_values import fetched


def test_numbers_are_fetched_as_they_are():
    given = [0.1, 2.0**-149, float('inf'), -3.0]
    kinds = torch.float32, torch.float64, torch.bfloat16, torch.float16
    values = [torch.tensor(v, dtype=k) for v in given for k in kinds]
    assert fetched(values) == [value.item() for value in values]
    assert fetched([]) == []
    assert fetched([torch.ones(1, 1, requires_grad=True)]) == [1.0]


def test_the_log_is_that_of_mmengine():
    """All that it takes, in any order; read as a whole, by name, and as a state."""
    hub, values = MessageHub('ours'), torch.arange(6, dtype=torch.float32) / 7
    for i, value in enumerate(values):
        hub.update_scalar('loss', value, count=i + 1)
        hub.update_scalar('time', float(i))
        hub.update_scalars(dict(other=dict(value=value * 2, count=3), whole=i))
    hub.update_scalar('loss', 9.0)
    hub.update_scalar('seen', torch.tensor(3))
    assert hub.get_scalar('loss').mean(3) == pytest.approx((4 / 7 + 5 / 7 + 9) / 12)
    history, counts = hub.get_scalar('loss').data
    assert history.tolist() == [*values.tolist(), 9.0]
    assert counts.tolist() == [1, 2, 3, 4, 5, 6, 1]
    assert hub.get_scalar('other').data[1].tolist() == [3] * 6
    assert hub.log_scalars.keys() == {'loss', 'time', 'other', 'whole', 'seen'}
    hub.update_scalar('loss', values[0], resumed=True)
    hub.update_scalar('late', values[0], resumed=False)
    state = hub.state_dict()
    assert state['log_scalars'].keys() == hub.log_scalars.keys() - {'late'}
    assert isinstance(state['log_scalars']['loss'], HistoryBuffer)
    other = MessageHub('other')
    other.load_state_dict(copy.deepcopy(state))
    assert other.get_scalar('loss').current() == values[0].item()
    with pytest.raises(KeyError, match='never'):
        hub.get_scalar('never')


def test_a_value_that_is_changed_afterwards_is_logged_as_it_was():
    hub, value = MessageHub('changed'), torch.zeros(())
    hub.update_scalar('loss', value)
    value += 1
    assert hub.get_scalar('loss').current() == 0


def test_the_host_waits_once_for_all(monkeypatch):
    hub = MessageHub('waits')
    with second_device() as device:
        value = torch.ones((), device='meta', requires_grad=True)
        wide = value.detach().double()
        for _ in range(3):
            hub.update_scalar('loss', 2 * value)
            hub.update_scalar('norm', wide)
            hub.update_scalar('time', 0.5)
            assert hub.get_scalar('time').current() == 0.5
        assert not device.waits
        assert hub.get_scalar('norm').data[0].tolist() == [1.0] * 3
        assert hub.log_scalars['loss'].data[0].tolist() == [2.0] * 3
        assert dict(device.waits) == {'to the host': 1}
        monkeypatch.setattr(log_values, 'MOST', 5)
        for _ in range(7):  # nobody reads
            hub.update_scalar('loss', value)
        assert dict(device.waits) == {'to the host': 2}


def test_the_norm_of_gradients_is_logged():
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    wrapper = OptimWrapper(optimizer, clip_grad=dict(max_norm=1.0))
    wrapper.message_hub = MessageHub('norm')
    wrapper.update_params((weight * torch.tensor([3.0, 4.0])).sum())
    assert wrapper.message_hub.get_scalar('train/grad_norm').current() == 5
    assert weight.tolist() == pytest.approx([-0.6, -0.8])
    weight.grad = None
    wrapper._clip_grad()  # nothing to clip, nothing to log
    assert len(wrapper.message_hub.get_scalar('train/grad_norm').data[0]) == 1
