"""What holds for every host of MMagic, by its entry in `helpers.hosts.HOSTS`."""

import pytest
import torch
from helpers import hosts
from mmagic.registry import MODELS
from mmengine.registry import init_default_scope

from mmagic_mr.models.arguments import constructor_arguments

# What classes of MMagic take beside networks and losses.
GENERAL = {
    'data_preprocessor',
    'init_cfg',
    'test_cfg',
    'train_cfg',
    'discriminator_steps',
    'disc_init_steps',
}


@pytest.fixture(params=hosts.HOSTS)
def spec(request):
    return hosts.HOSTS[request.param]


def test_equals_repeated_inputs(spec):
    losses = dict(mse=dict(type='MRLoss', order=1))
    model = hosts.build(spec.config, sample_losses=losses)
    # Sample statistics are of K samples; a pixel loss is of each.
    model.sample_losses.clear()
    model.rec_loss = MODELS.build(dict(type='MSELoss'))
    hosts.check_update_equals_that_of_repeated_inputs(model, spec.data())


def test_without_sharing_the_samples_are_the_same(spec):
    model = hosts.build(spec.config).eval()
    batch = hosts.batch_of(model, spec.data(2))
    shared = model.sample_batch(batch, 3, seed=1)
    model.share_work = False
    repeated = model.sample_batch(batch, 3, seed=1)
    torch.testing.assert_close(repeated, shared, rtol=1e-4, atol=1e-5)
    assert hosts.check_training(model, spec.data())


def test_released_weights_load_with_only_the_noise_missing(spec):
    model = hosts.build(spec.config, mr_loss=hosts.PROXY)
    stock = hosts.stock_config(spec.config)
    if 'pixel_loss' in constructor_arguments(model.mmagic_class):
        stock['pixel_loss'] = dict(type='L1Loss')  # MMagic builds none without
    hosts.check_released_checkpoints_load(model, MODELS.build(stock))


@pytest.mark.parametrize('loss', ['MRLoss', 'ProxyMRLoss', 'CRPSLoss'])
def test_each_update_moves_its_own_network_alone(spec, loss):
    config = dict(type=loss, loss_weight=10.0)
    logs = hosts.check_training(hosts.build(spec.config, mr_loss=config), spec.data())
    assert {'loss_mr', 'sample_std'} <= logs.keys()
    assert ('pred_std' in logs) == (loss == 'ProxyMRLoss')


def test_several_losses_each_with_its_name(spec):
    losses = dict(
        mr=dict(type='MRLoss', order=1),
        moments=dict(type='ProxyMRLoss'),
        crps=dict(type='CRPSLoss'),
    )
    logs = hosts.check_training(
        hosts.build(spec.config, sample_losses=losses), spec.data()
    )
    assert {'loss_mr', 'loss_moments', 'loss_crps'} <= logs.keys()


def test_every_argument_of_mmagics_class_is_used_or_refused(spec):
    init_default_scope('mmagic')
    cls = MODELS.get(spec.config['type'])
    for name in constructor_arguments(cls.mmagic_class):
        if name in spec.effects:
            logged = spec.effects[name][1]
            arguments = spec.arguments([name])
            model = hosts.build(spec.config, **arguments, mr_loss=None, num_samples=1)
            assert logged in hosts.check_training(model, spec.data()), name
        elif name not in {*spec.config, *GENERAL}:
            with pytest.raises(ValueError, match=f'does not use .*{name}'):
                hosts.build(spec.config, **{name: dict(type='L1Loss')})
    with pytest.raises(ValueError, match=r"no argument 'generater'"):
        hosts.build(spec.config, generater=None)


def test_a_kept_term_stays_and_the_others_go(spec, monkeypatch):
    replaced = MODELS.get(spec.config['type']).reconstruction_terms
    terms = [n for n in spec.effects if n in (*replaced, 'loss_config')]
    arguments = spec.arguments(terms)
    names = {name: spec.effects[name][1] for name in terms}
    lines = []
    monkeypatch.setattr(
        'mmagic_mr.models.reconstruction.print_log',
        lambda line, logger: lines.append(line),
    )
    kept = terms[0]
    keep = 'pixel_loss_weight' if kept == 'loss_config' else kept
    model = hosts.build(spec.config, keep=[keep], **arguments)
    logs = hosts.check_training(model, spec.data())
    assert {name for name in terms if names[name] in logs} == {kept}
    assert len(lines) == 1
    assert f'; {keep}' in lines[0]
    with pytest.raises(ValueError, match=r'no reconstruction term gan_loss; there are'):
        hosts.build(spec.config, keep=['gan_loss'])


def test_without_noise_there_is_one_sample(spec):
    model = hosts.build(
        spec.config | dict(noise=None), mr_loss=None, num_samples=None
    ).eval()
    assert model.num_samples == model.eval_num_samples == 1
    batch = hosts.batch_of(model, spec.data(2))
    once, again = model.sample_batch(batch), model.sample_batch(batch)
    assert torch.equal(once, again)


def test_noise_can_be_one_vector_for_the_image(spec):
    noise = dict(preset=spec.config['noise'], extent='global')
    model = hosts.build(spec.config | dict(noise=noise)).eval()
    batch, z = hosts.batch_of(model, spec.data(2)), {}
    samples = model.sample_batch(batch, 3, keep=z)
    assert list(z) == ['global']
    assert z['global'].shape[:2] == (2, 3)
    assert z['global'].shape[3:] == (1, 1)
    assert torch.equal(model.sample_batch(batch, 3, z=z), samples)
    assert samples.std(1).max() > 0
    model.train()
    assert {'loss_mr', 'sample_std'} <= hosts.check_training(model, spec.data()).keys()
