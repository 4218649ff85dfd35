"""Every tensor of a step is made where the model is, and none is looked at on the way.

There may be no GPU here. Tensors on 'meta' have no values: whatever meets them from
another device, or asks for a value (`item`, `bool`, `float`, `cpu`), raises. What is on
the CPU on purpose (pairs, boxes, seeds) works, and so do the backward pass and the
optimizers. Fake tensors on 'cuda' are stricter, but run forward alone.
"""

from contextlib import nullcontext

import pytest
import torch
from helpers import hosts
from helpers.elsewhere import Generator, second_device
from helpers.metrics import random_trunk
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from mmagic_mr import losses, sampling
from mmagic_mr.functional import Moments
from mmagic_mr.losses.counting import updates_of
from mmagic_mr.models.reconstruction import MomentReconstruction
from mmagic_mr.networks import backbone
from mmagic_mr.sampling.noise import NOISE_TYPES

VIEWS = dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0, fft=1.0)
LOSSES = {
    name: {} for name in losses.__all__ if name not in ('SampleLoss', 'MomentNLLLoss')
}
LOSSES['PCAGANLoss'] = dict(interval=1)


@pytest.fixture(autouse=True)
def _as_if_the_device_were_here(monkeypatch):
    monkeypatch.setattr(torch, 'Generator', Generator)
    monkeypatch.setattr(torch, 'autocast', lambda *_, **__: nullcontext())


@pytest.fixture
def _untrained_trunk(monkeypatch, tmp_path):
    monkeypatch.setenv('MMAGIC_MR_CACHE', str(tmp_path))
    path = backbone.backbone_path()
    backbone.save_backbone(random_trunk(), path, 'alex', 'a test')


def known_counts(module):
    """As after the first step, which asks the device for them once."""
    for part in module.modules():
        if 'updates' in dict(part.named_buffers(recurse=False)):
            updates_of(part)
    return module


def meta(*shape):
    return torch.empty(*shape, device='meta', requires_grad=True)


def everything_of(loss, samples):
    """What a loss may need, on the device of the samples."""
    target = samples.new_empty(samples[:, 0].shape)
    moments = Moments(target, target.clone())
    noise = dict(site=samples.new_empty(*samples.shape[:2], 4, 2, 2))
    given = dict(target=target, moments=moments, noise=noise)
    return [given[need] for need in loss.needs]


@pytest.mark.parametrize('masked', [False, True])
@pytest.mark.parametrize('name', LOSSES)
def test_a_loss_stays_on_its_device(name, masked):
    cls = getattr(losses, name)
    views = VIEWS if 'moments' not in cls.needs else dict(pixel=1.0)
    if masked and 'target' not in cls.needs:
        views = dict(pixel=1.0)
    loss = known_counts(cls(views=views, **LOSSES[name])).to('meta')
    samples = meta(2, 6, 3, 32, 32)
    mask = torch.empty(2, 1, 32, 32, device='meta') if masked else None
    loss(samples, *everything_of(loss, samples), mask=mask).backward()
    assert samples.grad.device.type == 'meta'


def judged(name, masked, device):
    """Value and gradient of a loss with all views, the one of features included."""
    cls, trunk = getattr(losses, name), dict(features=1.0)
    views = VIEWS | trunk if 'moments' not in cls.needs else dict(pixel=1.0)
    if masked and 'target' not in cls.needs:
        views = dict(pixel=1.0)
    rng = torch.Generator().manual_seed(1)

    def there(*shape):
        return torch.rand(shape, generator=rng).to(device)

    loss = known_counts(cls(views=views, **LOSSES[name])).to(device)
    samples = there(2, 6, 3, 32, 32).requires_grad_()
    needed = dict(
        target=there(2, 3, 32, 32),
        moments=Moments(there(2, 3, 32, 32), 0.5 + there(2, 3, 32, 32)),
        noise=dict(site=there(2, 6, 4, 2, 2)),
    )
    mask = torch.ones(2, 1, 32, 32)
    mask[..., :16] = 0
    mask = mask.to(device) if masked else None
    return loss, samples, [needed[need] for need in loss.needs], mask


@pytest.mark.usefixtures('_untrained_trunk')
@pytest.mark.parametrize('masked', [False, True])
@pytest.mark.parametrize('name', LOSSES)
def test_a_loss_is_the_same_on_another_device(name, masked):
    results = []
    for there in False, True:
        with second_device() if there else nullcontext() as device:
            loss, samples, needed, mask = judged(
                name, masked, 'meta' if there else 'cpu'
            )
            if there:
                with (
                    torch.no_grad()
                ):  # the trunk comes there, and what is asked for once
                    loss(samples, *needed, mask=mask)
                device.waits.clear()
                device.sent = 0
            value = loss(samples, *needed, mask=mask)
            value.backward()
            if there:
                assert not device.waits
                assert device.sent == 0
            results.append([value.detach().cpu(), samples.grad.cpu()])
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-6)


# A function of the package -> one in its place that leaves a device out, or looks
WRONG = {
    'mmagic_mr.functional.views.Pool.__call__': lambda view, images: (
        images * torch.ones(images.shape[-1])
    ),
    'mmagic_mr.losses.base.masked_mean': lambda values, mask=None: (
        values.mean() if values.mean() > 0 else values.sum()
    ),
}


@pytest.mark.parametrize('name', WRONG)
def test_the_audit_of_losses_sees_what_is_wrong(name, monkeypatch):
    monkeypatch.setattr(name, WRONG[name])
    expected = r'not on the expected device|meta tensors'
    with pytest.raises((RuntimeError, NotImplementedError), match=expected):
        test_a_loss_stays_on_its_device('CRPSLoss', masked=False)
    with pytest.raises((RuntimeError, AssertionError), match=r'on the CPU|Counter'):
        test_a_loss_is_the_same_on_another_device('CRPSLoss', masked=False)


def on_meta(model):
    return known_counts(hosts.trained(model)).to('meta')


def check_step(model, data, iteration=3):
    """A whole training step, from the data of a loader to the optimizers."""
    model._iter = iteration - 1
    model._noise_checked = True  # the first step looks at its samples
    if model.predictor is not None:
        model._predictor_checked = True  # the first step asks for it
    logs = model.train_step(data, hosts.optim_wrapper(model))
    assert {value.device.type for value in logs.values()} == {'meta'}
    return logs


FAMILY = dict(
    mr=dict(type='MRLoss', loss_weight=10.0),
    proxy=dict(type='ProxyMRLoss', loss_weight=10.0),
    crps=dict(type='CRPSLoss', loss_weight=10.0, views=VIEWS),
)


# MMagic's own loss of the soft mask has its target on a GPU or else on the CPU
CHANGED = dict(aot=dict(loss_gan=dict(type='GANLoss', gan_type='lsgan')))


@pytest.mark.parametrize('name', hosts.HOSTS)
def test_a_step_of_a_host_stays_on_its_device(name):
    spec = hosts.HOSTS[name]
    model = hosts.build(
        spec.config | CHANGED.get(name, {}),
        sample_losses=FAMILY,
        ema=dict(decay=0.9),
    )
    model.averaged_generator._known_steps = 3
    check_step(on_meta(model), spec.data())


@pytest.mark.parametrize('name', [n for n in hosts.HOSTS if n != 'edit'])
def test_a_step_with_all_the_terms_of_a_host(name):
    """What a sample loss would replace, and a gradient penalty."""
    spec = hosts.HOSTS[name]
    own = spec.arguments(list(spec.effects)) | CHANGED.get(name, {})
    model = hosts.build(
        spec.config, sample_losses={}, gradient_penalty=dict(weight=10.0), **own
    )
    model._penalty_checked = True  # a warning, where there is batch normalization
    logs = check_step(on_meta(model), spec.data())
    assert {'loss_gp', 'loss_gan_g'} <= logs.keys()
    assert {name for _, name in spec.effects.values()} <= logs.keys()


def test_the_balance_is_measured_and_set_without_a_look():
    spec = hosts.HOSTS['srgan']
    automatic = dict(crps=dict(type='CRPSLoss', loss_weight='auto', views=VIEWS))
    model = hosts.build(spec.config, sample_losses=automatic)
    logs = check_step(on_meta(model), spec.data(), iteration=10)
    assert {'grad_gan', 'balance_crps', 'weight_crps'} <= logs.keys()


# -- fake tensors on 'cuda' -----------------------------------------------------------


def fake(module):
    """The same with all parameters and buffers on a GPU that is not here."""

    def moved(tensor):
        return torch.empty(tensor.shape, dtype=tensor.dtype, device='cuda')

    for part in module.modules():
        for name, value in part._parameters.items():
            if value is not None:
                wanted = value.requires_grad
                part._parameters[name] = torch.nn.Parameter(moved(value), wanted)
        for name, value in part._buffers.items():
            part._buffers[name] = None if value is None else moved(value)
    return module


@pytest.mark.parametrize('source', ['fresh', 'seeded', 'seeded there', 'given'])
@pytest.mark.parametrize('extent', ['map', 'global'])
@pytest.mark.parametrize('noise_type', NOISE_TYPES)
def test_noise_is_where_the_network_is(source, extent, noise_type):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 1, 3))
    sites = dict(sites={'1': 4}, extent=extent, type=noise_type)
    sampling.add_noise_sites(network, sites)
    key, side = ('global', 1) if extent == 'global' else ('1', 6)
    kept = {}
    with FakeTensorMode():
        fake(network)
        z = {key: torch.empty(2, 5, 4, side, side, device='cuda')}
        options = {
            'fresh': {},
            'seeded': dict(seeds=[1, 2], seed_device='cpu'),
            'seeded there': dict(seeds=[1, 2], seed_device='cuda'),
            'given': dict(z=z),
        }[source]
        with sampling.sampling(2, 5, keep=kept, **options) as drawing:
            x = torch.empty(2, 3, 8, 8, device='cuda')
            samples = drawing.samples(network(drawing.enter(x)))
    assert samples.shape == (2, 5, 1, 4, 4)
    assert {samples.device.type, kept[key].device.type} == {'cuda'}


def test_the_audit_of_noise_sees_what_is_wrong(monkeypatch):
    def on_the_cpu(conv, z, size):
        return conv(z.expand(-1, -1, *size) * torch.ones(size))

    monkeypatch.setattr('mmagic_mr.sampling.noise.constant_convolution', on_the_cpu)
    with pytest.raises(RuntimeError, match='two different devices cuda:0, cpu'):
        test_noise_is_where_the_network_is('given', 'global', 'gaussian')


def test_fake_tensors_are_not_looked_at_either():
    with FakeTensorMode(), pytest.raises(DataDependentOutputException):
        float(torch.empty(1, device='cuda'))


@pytest.mark.parametrize('name', hosts.HOSTS)
def test_a_host_draws_judges_and_predicts_on_a_gpu(name):
    spec = hosts.HOSTS[name]
    model = hosts.build(spec.config, sample_losses=FAMILY, ema=dict(decay=0.9))
    batch = hosts.batch_of(model, spec.data())
    # EDSR keeps its mean as a plain tensor on the CPU, and moves it
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake(model)
        batch = hosts.map_batch(
            batch, lambda v: torch.empty(v.shape, dtype=v.dtype, device='cuda')
        )
        samples, batch = hosts.drawn(model, batch, 3)
        moments = model.predict_batch(batch)
        average = model.averaged_generator.module
        seeds = [1] * len(batch.x)
        averaged = model.draw(average, batch, 2, seeds=seeds, seed_device='cpu')
        terms = MomentReconstruction.generator_losses(model, batch, samples, moments)
        assert {'loss_mr', 'loss_proxy', 'loss_crps'} <= terms.keys()
    found = [samples, averaged, *moments, *terms.values()]
    assert {value.device.type for value in found} == {'cuda'}
