"""MRRealESRGAN: which target each loss gets, and the one average of its generator."""

import copy

import pytest
import torch
from helpers import hosts
from mmagic.engine.hooks import ExponentialMovingAverageHook
from mmagic.registry import MODELS
from mmengine import MessageHub

from mmagic_mr.errors import UserError

CRPS = dict(crps=dict(type='CRPSLoss'))
AVERAGED = hosts.REAL | dict(is_use_ema=True)
FLAGS = [f'is_use_sharpened_gt_in_{term}' for term in ('pixel', 'percep', 'gan')]


@pytest.fixture(autouse=True)
def _from_iteration_0():
    """As a Runner that starts; none drives the training."""
    MessageHub.get_current_instance().update_info('iter', 0)


@pytest.mark.parametrize('flag', [*FLAGS, None])
def test_each_loss_has_its_own_target(flag):
    flags = {name: name == flag for name in FLAGS}
    model = hosts.build(hosts.REAL | flags, mr_loss=None, num_samples=1)
    batch = hosts.batch_of(model, hosts.real_data(2))
    sharp = 1 - batch.plain
    torch.testing.assert_close(batch.sharp, sharp)
    used = batch.y, model.perceptual_target(batch), model.real_images(batch)
    for name, target in zip(FLAGS, used, strict=True):
        assert torch.equal(target, batch.sharp if flags[name] else batch.plain)


@pytest.mark.parametrize('keys', ['gt_img', ['gt_img', 'gt_unsharp']])
@pytest.mark.parametrize(('mean', 'std'), [(0.0, 255.0), (127.5, 127.5)])
def test_the_sharpened_image_is_in_the_range_of_the_others(keys, mean, std):
    scale = dict(type='DataPreprocessor', mean=[mean], std=[std], data_keys=keys)
    model = hosts.build(hosts.REAL | dict(data_preprocessor=scale), mr_loss=None)
    data = hosts.real_data(2)
    batch = hosts.batch_of(model, data)
    for name, field in (('gt_unsharp', batch.sharp), ('gt_img', batch.plain)):
        images = torch.stack([sample.get(name) for sample in data['data_samples']])
        torch.testing.assert_close(field, (images - mean) / std)


def test_sample_losses_take_the_target_of_the_pixel_loss():
    model = hosts.build(hosts.REAL, sample_losses=CRPS)
    batch = hosts.batch_of(model, hosts.real_data(2))
    samples = torch.rand(2, 3, 3, 32, 32)
    found = model.generator_losses(batch, samples)['loss_crps']
    assert torch.equal(found, model.sample_losses['crps'](samples, batch.sharp))


@pytest.mark.parametrize('flag', FLAGS)
def test_a_sharpened_image_that_is_not_there_is_missed(flag):
    flags = {name: name == flag for name in FLAGS}
    loss = dict(type='Perceptual')
    model = hosts.build(hosts.REAL | flags, mr_loss=None, perceptual_loss=loss)
    data = hosts.sr_data(2)
    assert model.test_step(copy.deepcopy(data))  # where none is needed
    with pytest.raises(UserError, match=r'no gt_unsharp: put .*UnsharpMasking'):
        model.train_step(data, hosts.optim_wrapper(model))


def averages_noise(model):
    own, copied = model.generator.state_dict(), model.generator_ema.state_dict()
    assert own.keys() == copied.keys()
    assert sum('.noise.' in name for name in copied) == len(model.noise_sites)
    return all(torch.equal(own[name], copied[name]) for name in own)


def test_mmagics_average_starts_as_the_generator_with_its_noise():
    model = hosts.build(AVERAGED, sample_losses=CRPS)
    assert averages_noise(model)
    batch = hosts.batch_of(model, hosts.real_data(2))
    assert model.sampled_network is model.generator_ema
    samples = model.sample_batch(batch, 3, seed=1)
    assert samples.std(1).max() > 0
    model.train_step(hosts.real_data(2), hosts.optim_wrapper(model))
    assert not averages_noise(model)
    assert torch.equal(model.sample_batch(batch, 3, seed=1), samples)
    ours = hosts.build(hosts.REAL, sample_losses=CRPS, ema=dict(decay=0.9))
    assert ours.generator_ema is None
    assert ours.averaged_generator is not None


class Run:
    """As much of a Runner as the hook looks at."""

    def __init__(self, model):
        self.model, self.iter = model, 0


def test_mmagics_hook_moves_it_noise_and_all(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmagic_mr.models.real_esrgan.print_log', lambda line, *args: lines.append(line)
    )
    model = hosts.build(AVERAGED, sample_losses=CRPS)
    wrapper = hosts.optim_wrapper(model)
    start = {k: v.clone() for k, v in model.generator_ema.state_dict().items()}
    model.train_step(hosts.real_data(2), wrapper)
    model.test_step(hosts.real_data(2))
    assert [line for line in lines if 'generator_ema is as it was' in line]
    lines.clear()
    model._unmoved = model._moves()  # as at the first update
    hook = ExponentialMovingAverageHook(
        'generator_ema', interp_cfg=dict(momentum=0.25), interval=1
    )
    hook.before_run(Run(model))
    hook.after_train_iter(Run(model), 0)
    for name, value in model.generator.state_dict().items():
        expected = start[name] + 0.25 * (value - start[name])
        torch.testing.assert_close(model.generator_ema.state_dict()[name], expected)
    model.test_step(hosts.real_data(2))
    assert lines == []


def test_two_averages_are_one_too_many():
    with pytest.raises(UserError, match=r'two averages.*is_use_ema=False'):
        hosts.build(AVERAGED, sample_losses=CRPS, ema=dict(decay=0.9))


def test_released_weights_of_both_networks_load():
    model = hosts.build(AVERAGED, sample_losses=CRPS)
    stock = hosts.stock_config(AVERAGED) | dict(pixel_loss=dict(type='L1Loss'))
    hosts.check_released_checkpoints_load(model, MODELS.build(stock))
    noise = [name for name in model.generator.state_dict() if '.noise.' in name]
    for name in noise:
        own = model.generator.get_parameter(name)
        assert torch.equal(own, model.generator_ema.get_parameter(name))


def test_weights_without_an_average_are_its_start(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmagic_mr.models.real_esrgan.print_log', lambda line, *args: lines.append(line)
    )
    model = hosts.build(AVERAGED, sample_losses=CRPS)
    esrgan = hosts.build(hosts.ESRGAN, sample_losses=CRPS)
    for parameter in esrgan.generator.parameters():
        torch.nn.init.normal_(parameter)
    generator = {f'generator.{k}': v for k, v in esrgan.generator.state_dict().items()}
    result = model.load_state_dict(generator, strict=False)
    assert not [k for k in result.missing_keys if k.startswith('generator')]
    assert averages_noise(model)
    assert ['generator_ema' in line for line in lines] == [True]
    loaded = model.generator_ema.state_dict()
    for name, value in esrgan.generator.state_dict().items():
        assert torch.equal(loaded[name], value)


def test_without_a_discriminator_it_is_real_esrnet():
    alone = dict(discriminator=None, gan_loss=None)
    model = hosts.build(AVERAGED | alone, sample_losses=CRPS)
    wrapper = hosts.optim_wrapper(model)
    logs = model.train_step(hosts.real_data(2), wrapper)
    assert {n for n in logs if n.startswith('loss')} == {'loss_crps'}
