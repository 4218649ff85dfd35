"""The gradients of the GAN and of the losses at the samples, and what follows."""

import copy

import pytest
import torch
from helpers import hosts, pix2pix

from mmagic_mr.errors import UserError
from mmagic_mr.losses import CRPSLoss
from mmagic_mr.models.balance import GAN, Balance

AUTO = dict(crps=dict(type='CRPSLoss', loss_weight='auto'))


def build(balance=1.0, losses=AUTO, **kwargs):
    losses = copy.deepcopy(losses)
    return pix2pix.build(mr_loss=None, sample_losses=losses, balance=balance, **kwargs)


def updates(model, count=1):
    """The logs of some iterations of a loop of one's own."""
    wrappers = pix2pix.optim_wrapper(model)
    return [model.train_step(pix2pix.data(), wrappers) for _ in range(count)]


@pytest.fixture
def terms():
    """Two losses of one set of samples, whose gradients have the norms 6 and 2."""
    samples = torch.zeros(2, 3, 1, 1, 6, requires_grad=True)
    gan, other = samples.sum(), samples.sum() / 3
    return samples, {GAN: gan, 'loss_crps': other}


def test_norms_are_those_of_autograd_at_the_samples():
    model = build(dict(ratio=1.0, interval=1), losses=dict(crps=dict(type='CRPSLoss')))
    seen = []
    weigh = model.balance.weigh

    def watch(terms, samples, *args):
        for term in terms.values():
            (gradient,) = torch.autograd.grad(term, samples, retain_graph=True)
            seen.append(gradient.double().norm())
        return weigh(terms, samples, *args)

    model.balance.weigh = watch
    (logs,) = updates(model)
    torch.testing.assert_close(logs['grad_gan'], seen[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(logs['grad_crps'], seen[1], rtol=1e-5, atol=0)
    ratio = seen[1] / seen[0]
    torch.testing.assert_close(logs['balance_crps'], ratio, rtol=1e-5, atol=0)


def test_half_precision_does_not_lose_small_gradients():
    samples = torch.ones(2, 2, 1, 4, 4, requires_grad=True)
    small = 1e-9 * samples.half().float().sum()
    _, logs = Balance(interval=1).weigh(
        {GAN: small, 'loss_crps': small}, samples, {'crps': CRPSLoss()}, 0
    )
    assert logs['grad_gan'].item() == pytest.approx(8e-9, rel=1e-2)


def test_the_first_measurement_sets_the_ratio(terms):
    samples, losses = terms
    loss = CRPSLoss(loss_weight='auto')
    balance = Balance(ratio=0.5, interval=1)
    balance.prepare({'crps': loss})
    found, logs = balance.weigh(losses, samples, {'crps': loss}, 0)
    assert logs['balance_crps'].item() == pytest.approx(0.5)
    assert loss.weight.item() == pytest.approx(1.5)
    assert found['loss_crps'].grad_fn is not None
    (gradient,) = torch.autograd.grad(found['loss_crps'], samples)
    assert gradient.norm().item() == pytest.approx(3.0)
    assert found[GAN] is losses[GAN]


def test_the_weight_moves_by_the_logarithm(terms):
    samples, losses = terms
    loss = CRPSLoss(loss_weight='auto')
    balance = Balance(ratio=1.0, interval=1, momentum=0.75, start=16.0)
    balance.prepare({'crps': loss})
    assert loss.weight == 16.0
    # At 16 the norm is 2: what makes it 6 is 48, a quarter of the way from 16
    _, logs = balance.weigh(losses, samples, {'crps': loss}, 0)
    assert loss.weight.item() == pytest.approx(16 * 3**0.25)
    assert logs['balance_crps'].item() == pytest.approx(3**-0.75)


def test_where_nothing_can_be_measured_the_weight_stays():
    samples = torch.zeros(2, 3, 1, 1, 6, requires_grad=True)
    loss = CRPSLoss(loss_weight='auto')
    balance = Balance(interval=1, start=4.0)
    balance.prepare({'crps': loss})
    nothing = {GAN: samples.sum(), 'loss_crps': 0 * samples.sum()}
    balance.weigh(nothing, samples, {'crps': loss}, 0)
    assert loss.weight == 4.0


def test_measuring_changes_no_parameter():
    often, never = (
        build(dict(interval=n), losses=dict(crps=dict(type='CRPSLoss')))
        for n in (1, 1000)
    )
    for model in often, never:
        torch.manual_seed(3)
        logs = updates(model, 3)
    assert 'grad_gan' not in logs[-1]
    others = never.state_dict()
    for name, value in often.state_dict().items():
        assert torch.equal(value, others[name]), name


def test_the_ratio_is_kept_in_training():
    model = build(dict(ratio=0.5, interval=1, momentum=0.0))
    for logs in updates(model, 3):
        assert logs['balance_crps'].item() == pytest.approx(0.5, rel=1e-4)
        assert logs['weight_crps'].item() > 0
    weight = model.sample_losses['crps'].auto_weight
    assert weight == logs['weight_crps']


def test_the_weight_is_in_the_checkpoint():
    model = build()
    updates(model)
    other = build()
    other.load_state_dict(model.state_dict())
    found = other.sample_losses['crps'].weight
    assert found == model.sample_losses['crps'].weight
    assert found != 1


def test_several_losses_are_weighed_each_for_itself():
    losses = AUTO | dict(energy=dict(type='EnergyScoreLoss', loss_weight='auto'))
    logs = updates(build(losses=losses))[0]
    for name in losses:
        assert logs[f'balance_{name}'].item() == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize('host', ['srgan', 'esrgan', 'glcic'])
def test_every_host_with_a_discriminator(host):
    spec = hosts.HOSTS[host]
    model = hosts.build(spec.config, sample_losses=copy.deepcopy(AUTO))
    logs = model.train_step(spec.data(), hosts.optim_wrapper(model))
    assert logs['balance_crps'].item() == pytest.approx(1.0, rel=1e-4)


def test_without_a_gan_there_is_nothing_to_balance():
    with pytest.raises(UserError, match=r"'crps'.*auto.*MREditModel has none"):
        hosts.build(hosts.EDIT, sample_losses=copy.deepcopy(AUTO))
    model = build(gan_loss=dict(loss_weight=0))
    with pytest.raises(UserError, match='there is no GAN loss'):
        updates(model)


@pytest.mark.parametrize('bad', [0, -1.0, float('nan'), 'much', dict(ratio=0)])
def test_a_ratio_that_is_none_is_refused(bad):
    with pytest.raises(UserError, match=r'(ratio|balance) must be'):
        build(bad)


def test_it_says_once_what_outweighs_what(terms, monkeypatch):
    samples, losses = terms
    lines = []
    monkeypatch.setattr(
        'mmagic_mr.models.balance.print_log', lambda *a: lines.extend(a)
    )
    balance = Balance(interval=1)

    def said(factor):
        scaled = losses | {'loss_crps': factor * losses['loss_crps']}
        lines.clear()
        balance.weigh(scaled, samples, {'crps': CRPSLoss()}, 0)
        return lines[0] if lines else ''

    # At 3 the ratio is 1; the mean of its logarithm moves by a tenth each time
    assert said(3) == ''
    texts = [said(3000) for _ in range(4)]
    assert [bool(text) for text in texts] == [False, True, False, False]
    assert 'crps : GAN = 3.7 : 1' in texts[1]
    assert 'patchwork' in texts[1]
    first, second = filter(None, [said(0.003) for _ in range(9)])
    assert 'Neither outweighs' in first
    assert 'crps : GAN = 1 : 1' in second
    assert 'collapse' in second


def test_a_loss_that_outweighs_from_the_start_is_named_at_once(terms, monkeypatch):
    samples, losses = terms
    lines = []
    monkeypatch.setattr(
        'mmagic_mr.models.balance.print_log', lambda *a: lines.extend(a)
    )
    scaled = losses | {'loss_crps': 36 * losses['loss_crps']}
    Balance(interval=1).weigh(scaled, samples, {'crps': CRPSLoss()}, 0)
    assert 'crps : GAN = 12 : 1' in lines[0]
