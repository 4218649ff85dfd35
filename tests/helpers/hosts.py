"""Small models of every host, data for them, and what holds for all of them.

A new host is one entry in `HOSTS`; tests/models/test_hosts.py does the rest.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from mmagic.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn
from torch.nn.utils.spectral_norm import SpectralNorm

import mmagic_mr.plugin  # noqa: F401
from helpers import pix2pix
from helpers.host_configs import AOT, DEEPFILL, SIZE, gl_data, real_data, sr_data

GAN = dict(type='GANLoss', gan_type='vanilla', loss_weight=1.0)
BN = dict(type='BN')
PROXY = dict(type='ProxyMRLoss', loss_weight=10.0)
SRGAN = dict(
    type='MRSRGAN',
    data_preprocessor=dict(type='DataPreprocessor', mean=[127.5], std=[127.5]),
    generator=dict(
        type='MSRResNet', in_channels=3, out_channels=3, mid_channels=4, num_blocks=2
    ),
    discriminator=dict(type='PooledVGG', mid_channels=2),
    gan_loss=GAN,
    noise='srgan',
)
RRDB = dict(
    type='RRDBNet',
    in_channels=3,
    out_channels=3,
    mid_channels=4,
    num_blocks=2,
    growth_channels=4,
)
ESRGAN = SRGAN | dict(type='MRESRGAN', generator=RRDB, noise='rrdb')
REAL = ESRGAN | dict(
    type='MRRealESRGAN',
    data_preprocessor=dict(type='DataPreprocessor', mean=[0.0], std=[255.0]),
    discriminator=dict(
        type='UNetDiscriminatorWithSpectralNorm', in_channels=3, mid_channels=2
    ),
    is_use_sharpened_gt_in_pixel=True,
    is_use_sharpened_gt_in_percep=True,
    is_use_sharpened_gt_in_gan=True,
    is_use_ema=False,
)
EDIT = dict(
    type='MREditModel',
    data_preprocessor=SRGAN['data_preprocessor'],
    generator=dict(
        type='EDSRNet',
        in_channels=3,
        out_channels=3,
        mid_channels=4,
        num_blocks=2,
        upscale_factor=4,
    ),
    noise='edsr',
)
GLCIC = dict(
    type='MRGLInpaintor',
    data_preprocessor=dict(type='DataPreprocessor', mean=[0.0], std=[255.0]),
    encdec=dict(
        type='GLEncoderDecoder',
        encoder=dict(type='GLEncoder', norm_cfg=BN),
        decoder=dict(type='GLDecoder', norm_cfg=BN, out_act='sigmoid'),
        dilation_neck=dict(type='GLDilationNeck', norm_cfg=BN),
    ),
    disc=dict(
        type='GLDiscs',
        global_disc_cfg=dict(
            in_channels=3,
            max_channels=8,
            fc_in_channels=8,
            num_convs=5,
            norm_cfg=BN,
        ),
        local_disc_cfg=dict(
            in_channels=3,
            max_channels=8,
            fc_in_channels=8,
            num_convs=4,
            norm_cfg=BN,
        ),
    ),
    loss_gan=GAN,
    noise='glcic',
)


class Perceptual(nn.Module):
    """In place of MMagic's, which fetches a network."""

    def forward(self, x, gt):
        return (x - gt).square().mean(), None


@dataclass(frozen=True)
class Spec:
    """A host under test.

    Attributes:
        config: Of a small model.
        data: Makes a batch of n inputs as a loader gives it.
        effects: Argument of MMagic's constructor that is a loss -> a config of it, and
            the name in the log under which it then appears.
        beside: What else such arguments, by their names, need.
    """

    config: dict
    data: Callable[..., dict]
    effects: dict[str, tuple] = field(default_factory=dict)
    beside: Callable[[list[str]], dict] = lambda names: {}

    def arguments(self, names: list[str]) -> dict:
        """Of a model that has these of its losses."""
        given = {name: copy.deepcopy(self.effects[name][0]) for name in names}
        return given | self.beside(names)


MODELS.register_module(module=Perceptual, force=True)
L1 = dict(type='L1Loss')
PERCEPTUAL = dict(type='Perceptual'), 'loss_perceptual'
SHIFT = dict(type='DiscShiftLoss'), 'loss_disc_shift'
HOSTS = {
    'pix2pix': Spec(
        {k: v for k, v in pix2pix.config().items() if k not in pix2pix.OURS},
        pix2pix.data,
        dict(loss_config=(dict(pixel_loss_weight=1.0), 'loss_pixel')),
    ),
    'srgan': Spec(
        SRGAN, sr_data, dict(pixel_loss=(L1, 'loss_pix'), perceptual_loss=PERCEPTUAL)
    ),
    'esrgan': Spec(
        ESRGAN, sr_data, dict(pixel_loss=(L1, 'loss_pix'), perceptual_loss=PERCEPTUAL)
    ),
    'real_esrgan': Spec(
        REAL, real_data, dict(pixel_loss=(L1, 'loss_pix'), perceptual_loss=PERCEPTUAL)
    ),
    'edit': Spec(EDIT, sr_data, dict(pixel_loss=(L1, 'loss_pix'))),
    'glcic': Spec(
        GLCIC,
        gl_data,
        dict(
            loss_l1_hole=(L1, 'loss_l1_hole'),
            loss_l1_valid=(L1, 'loss_l1_valid'),
            loss_disc_shift=SHIFT,
        ),
    ),
    'aot': Spec(
        AOT,
        lambda n=4: gl_data(n, 32),
        dict(
            loss_l1_valid=(L1, 'loss_l1_valid'),
            loss_composed_percep=(PERCEPTUAL[0], 'loss_out_percep'),
        ),
        lambda names: dict(loss_out_percep='loss_composed_percep' in names),
    ),
    'two_stage': Spec(
        DEEPFILL,
        lambda n=4: gl_data(n, SIZE),
        dict(
            loss_l1_hole=(L1, 'stage2_loss_l1_hole'),
            loss_l1_valid=(L1, 'stage2_loss_l1_valid'),
            loss_composed_percep=(PERCEPTUAL[0], 'stage2_loss_composed_percep'),
            loss_tv=(dict(type='MaskedTVLoss'), 'stage2_loss_tv'),
            loss_disc_shift=SHIFT,
        ),
        lambda names: dict(
            stage2_loss_type=(*({*names} - {'loss_disc_shift'}), 'loss_gan')
        ),
    ),
}


def build(host: dict, **kwargs):
    """A small model with a moment loss, K = 3; ``kwargs`` change its config."""
    init_default_scope('mmagic')
    torch.manual_seed(0)
    if 'sample_losses' not in kwargs:
        kwargs = dict(mr_loss=dict(type='MRLoss', loss_weight=10.0)) | kwargs
    config = copy.deepcopy(host) | dict(num_samples=3) | kwargs
    model = MODELS.build(ConfigDict(config))
    model.init_weights()
    return model


def trained(model):
    """As if the predictor had been trained."""
    if model.predictor is not None:
        model.predictor.trained.fill_(True)
    return model


def networks(model) -> dict[str, nn.Module]:
    """The networks that are optimized, by their names in the optimizer's config."""
    names = model.generator_name, getattr(model, 'discriminator_name', None)
    found = {n: getattr(model, n) for n in names if n}
    return {n: network for n, network in found.items() if network is not None}


def optim_wrapper_of(network, **kwargs):
    cfg = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)) | kwargs
    return build_optim_wrapper(network, copy.deepcopy(cfg))


def optim_wrapper(model, **kwargs):
    """One for each network; a single one for hosts without a discriminator."""
    wrappers = {n: optim_wrapper_of(m, **kwargs) for n, m in networks(model).items()}
    if not hasattr(model, 'discriminator_name'):
        return wrappers[model.generator_name]
    return OptimWrapperDict(**wrappers)


def parameters(module):
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def moved(before, module):
    after = parameters(module)
    return [name for name in before if not torch.equal(before[name], after[name])]


def batch_of(model, data):
    return model.make_batch(model.data_preprocessor(copy.deepcopy(data), True))


def map_batch(batch, function):
    """A batch with each of its tensors changed."""
    return type(batch)(
        **{k: None if v is None else function(v) for k, v in vars(batch).items()}
    )


def drawn(model, batch, k, **source):
    """Samples, and the batch with what else the generator returned."""
    network, beside = getattr(model, model.generator_name), {}
    samples = model.draw(network, batch, k, beside=beside, **source)
    return samples, replace(batch, **beside)


def steady(network):
    """Spectral norms that do not move from one call to the next."""
    for module in network.modules():
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                hook.n_power_iterations = 0
    return network


def check_update_equals_that_of_repeated_inputs(model, data, n=2, k=3):
    """Every term of the generator's loss, and its gradient, in double precision."""
    steady(model.double())
    batch = batch_of(model, data).first(n)
    batch = map_batch(batch, lambda v: v.double() if v.is_floating_point() else v)
    network, z = getattr(model, model.generator_name), {}
    samples, batch = drawn(model, batch, k, keep=z)
    shared = model.generator_losses(batch, samples)
    weights = list(network.parameters())
    ours = torch.autograd.grad(sum(shared.values()), weights)

    z = {site: values.flatten(0, 1)[:, None] for site, values in z.items()}
    batch = map_batch(batch, lambda v: v.repeat_interleave(k, 0))
    samples, batch = drawn(model, batch, 1, z=z)
    repeated = model.generator_losses(batch, samples)
    theirs = torch.autograd.grad(sum(repeated.values()), weights)
    assert shared.keys() == repeated.keys()
    for name in shared:
        torch.testing.assert_close(shared[name], repeated[name], rtol=1e-10, atol=0)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def check_training(model, data):
    """Finite logs; each network moves by its own update; the predictor never."""
    trained(model)
    watched = networks(model)
    if model.predictor is not None:
        watched['predictor'] = model.predictor
    before = {name: parameters(network) for name, network in watched.items()}
    logs = model.train_step(copy.deepcopy(data), optim_wrapper(model))
    assert all(torch.isfinite(torch.as_tensor(v)) for v in logs.values())
    for name, values in before.items():
        assert bool(moved(values, getattr(model, name))) == (name != 'predictor')
    return logs


def check_host_fields(model, data, size):
    """What MMagic's metrics read, beside the samples."""
    trained(model)
    outputs = model.test_step(copy.deepcopy(data))
    assert len(outputs) == len(data['inputs'])
    for output, x in zip(outputs, data['inputs'], strict=True):
        assert output.samples.shape == (3, 3, size, size)
        assert torch.equal(output.output.pred_img, output.samples[0])
        torch.testing.assert_close(output.input, x, rtol=0, atol=1e-3)
        assert output.gt_img.shape == (3, size, size)
        torch.testing.assert_close(
            output.sample_var, output.samples.var(0), rtol=1e-3, atol=0.05
        )
        assert {'pred_mean', 'pred_var', 'sample_mean'} <= set(output.keys())
    return outputs


def stock_config(config: dict) -> dict:
    """The same model of MMagic's own class."""
    cls = MODELS.get(config['type'])
    ours = (
        'noise',
        'num_samples',
        'mr_loss',
        'gan_loss' * (config['type'] == 'MRPix2Pix'),
    )
    return {k: copy.deepcopy(v) for k, v in config.items() if k not in ours} | dict(
        type=cls.mmagic_class.__name__
    )


def check_released_checkpoints_load(model, stock):
    """Of MMagic's own class: only the noise and the predictor are new."""
    result = model.load_state_dict(stock.state_dict(), strict=False)
    assert result.unexpected_keys == []
    new = [k for k in result.missing_keys if not k.startswith('predictor.')]
    networks = model.noisy_networks()
    prefixes = [n for n, m in model.named_modules() if any(m is x for x in networks)]
    assert new == [
        f'{prefix}.{site}.noise.conv.weight'
        for prefix in prefixes
        for site in model.noise_sites
    ]
    for name, value in stock.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)


def check_mmagics_interface(model, data):
    """Modes 'tensor' and 'predict' of MMagic's forward give one sample an image."""
    data = model.eval().data_preprocessor(copy.deepcopy(data))
    outputs = model(data['inputs'], data['data_samples'], mode='predict')
    again = model(data['inputs'], data['data_samples'], mode='predict')
    for output, other in zip(outputs, again, strict=True):
        assert output.output.pred_img.shape == output.gt_img.shape
        assert not torch.equal(output.output.pred_img, other.output.pred_img)
