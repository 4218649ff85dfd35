"""What once went wrong without a word: it is right now, or one clear error."""

import pytest
import torch
from helpers import hosts, pix2pix
from mmagic.models.editors import ESRGAN
from mmagic.registry import MODELS

from mmagic_mr.models import MRSRGAN

SHIFT = dict(type='DiscShiftLoss', loss_weight=0.1)


@pytest.mark.parametrize(
    ('argument', 'value'),
    [
        ('loss_gp', dict(type='GradientPenaltyLoss')),
        ('loss_tv', dict(type='MaskedTVLoss')),
        ('loss_out_percep', True),
    ],
)
def test_what_the_inpaintor_does_not_use_is_refused(argument, value):
    with pytest.raises(ValueError, match=f'does not use {argument}'):
        hosts.build(hosts.GLCIC, **{argument: value})


def test_the_shift_loss_of_the_discriminator_is_used():
    model = hosts.trained(hosts.build(hosts.GLCIC, loss_disc_shift=SHIFT))
    logs = model.train_step(hosts.gl_data(), hosts.optim_wrapper(model))
    assert logs['loss_disc_shift'] > 0


def test_a_loop_of_ones_own_draws_fresh_noise_at_every_step(monkeypatch):
    model = pix2pix.build()
    drawn = []
    draw = model.draw

    def keep_noise(*args, **kwargs):
        z = {}
        samples = draw(*args, **kwargs | dict(keep=z))
        drawn.append(z)
        return samples

    monkeypatch.setattr(model, 'draw', keep_noise)
    wrappers = pix2pix.optim_wrapper(model)
    for _ in range(2):
        model.train_step(pix2pix.data(), wrappers)
    of_disc, of_gen, of_disc_again, of_gen_again = drawn
    for one, other in (of_disc, of_disc_again), (of_gen, of_gen_again):
        for site in model.noise_sites:
            assert not torch.equal(one[site], other[site])


def test_a_host_of_another_class_of_mmagic_says_what_it_lacks():
    """The obvious thing to write would train with SRGAN's GAN loss."""
    with pytest.raises(TypeError, match=r'ESRGAN.*adversarial_loss'):
        type('Relativistic', (MRSRGAN, ESRGAN), {})


def test_samples_without_noise_are_refused():
    config = hosts.SRGAN | dict(noise=None, mr_loss=None, num_samples=3)
    with pytest.raises(ValueError, match='without noise the K samples are the same'):
        MODELS.build(config)


def test_a_misspelled_argument_is_named():
    with pytest.raises(ValueError, match=r'num_sample.*did you mean num_samples'):
        hosts.build(hosts.SRGAN, num_sample=4)


@pytest.mark.parametrize('host', ['pix2pix', 'srgan', 'glcic'])
def test_a_wrapper_of_the_whole_model_is_refused(host):
    """DDP, FSDP or DeepSpeed of it would train the generator alone, or break."""
    model = hosts.build(hosts.HOSTS[host].config)
    data = model.data_preprocessor(hosts.HOSTS[host].data(2), True)
    with pytest.raises(ValueError, match="type='MMSeparateDistributedDataParallel'"):
        model(**data, mode='loss')


def test_an_engine_that_would_not_train_is_refused():
    from mmengine.config import Config

    from mmagic_mr.training import check_engine

    two = dict(generator=dict(optimizer={}), discriminator=dict(optimizer={}))
    sharded = dict(type='MMFullyShardedDataParallel')
    with pytest.raises(ValueError, match="strategy='FSDPStrategy' is of mmengine's Fl"):
        check_engine(Config(dict(strategy=dict(type='FSDPStrategy'))))
    run = dict(launcher='slurm', optim_wrapper=two, model_wrapper_cfg=sharded)
    with pytest.raises(ValueError, match='MMFullyShardedDataParallel asks the model'):
        check_engine(Config(run))
    check_engine(Config(run | dict(launcher='none')))
    check_engine(Config(run | dict(optim_wrapper=dict(optimizer={}))))
