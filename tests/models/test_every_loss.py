"""Every sample loss trains a model, two updates with noise and all."""

import pytest
import torch
from helpers import hosts
from mmengine import MessageHub

from mmagic_mr import losses

# With alpha = 0.8 its loss is 0: distances of much noise are all about the same
OPTIONS = dict(NDivLoss=dict(alpha=1.0))
NAMES = sorted({*losses.__all__} - {'SampleLoss', 'MomentNLLLoss', 'ProxyMRLoss'})


@pytest.fixture(autouse=True)
def _from_iteration_0():
    """As a Runner that starts; none drives the training."""
    MessageHub.get_current_instance().update_info('iter', 0)


@pytest.mark.parametrize('name', NAMES)
def test_two_updates(name):
    loss = dict(type=name, **OPTIONS.get(name, {}))
    model = hosts.build(hosts.EDIT, sample_losses=dict(this=loss), num_samples=4)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    wrapper = hosts.optim_wrapper_of(model)
    for _ in range(2):
        logs = model.train_step(hosts.sr_data(2), wrapper)
        assert logs['loss_this'].isfinite()
        assert logs['sample_std'].isfinite()
    after = model.state_dict()
    assert all(value.isfinite().all() for value in after.values())
    noise = [key for key in after if key.endswith('noise.conv.weight')]
    assert any(not torch.equal(after[key], before[key]) for key in noise)


@pytest.mark.parametrize('name', ['PCAGANLoss', 'DiversitySensitiveLoss'])
def test_its_count_of_updates_is_in_the_checkpoint(name):
    model = hosts.build(
        hosts.EDIT, sample_losses=dict(this=dict(type=name)), num_samples=4
    )
    wrapper = hosts.optim_wrapper_of(model)
    for _ in range(2):
        model.train_step(hosts.sr_data(2), wrapper)
    assert model.state_dict()['sample_losses.this.updates'].item() == 2
