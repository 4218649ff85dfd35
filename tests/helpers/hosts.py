"""Small SRGAN and GLCIC models, data for them, and what holds for both."""

import copy

import torch
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import init_default_scope

import mmagic_mr.plugin  # noqa: F401

GAN = dict(type='GANLoss', gan_type='vanilla', loss_weight=1.0)
BN = dict(type='BN')
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


def build(host: dict, **kwargs):
    """A model of 8x8 -> 32x32, or of 32x32 with holes in boxes of 16x16."""
    init_default_scope('mmagic')
    torch.manual_seed(0)
    defaults = dict(num_samples=3, mr_loss=dict(type='MRLoss', loss_weight=10.0))
    model = MODELS.build(ConfigDict(copy.deepcopy(host) | defaults | kwargs))
    model.init_weights()
    return model


def trained(model):
    """As if the predictor had been trained."""
    if model.predictor is not None:
        model.predictor.trained.fill_(True)
    return model


def optim_wrapper_of(network, **kwargs):
    cfg = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)) | kwargs
    return build_optim_wrapper(network, copy.deepcopy(cfg))


def optim_wrapper(model, **kwargs):
    networks = model.generator_name, model.discriminator_name
    return OptimWrapperDict(
        **{n: optim_wrapper_of(getattr(model, n), **kwargs) for n in networks}
    )


def image(rng, size):
    return torch.randint(256, (3, size, size), generator=rng).float()


def sr_data(n=4, size=8):
    rng = torch.Generator().manual_seed(1)
    data = dict(inputs=[], data_samples=[])
    for i in range(n):
        sample = DataSample(metainfo=dict(img_path=f'lq/{i}.png'))
        sample.set_tensor_data(dict(gt_img=image(rng, 4 * size)))
        data['inputs'].append(image(rng, size))
        data['data_samples'].append(sample)
    return data


def gl_data(n=4, size=32):
    """Holes of 12x10 in boxes of 16x16."""
    rng = torch.Generator().manual_seed(1)
    data = dict(inputs=[], data_samples=[])
    for i in range(n):
        gt, mask = image(rng, size), torch.zeros(1, size, size)
        mask[:, 2 + i : 14 + i, 5:15] = 1
        sample = DataSample(
            metainfo=dict(gt_path=f'gt/{i}.png', mask_bbox=(1 + i, 3, 16, 16))
        )
        sample.set_tensor_data(dict(gt_img=gt, mask=mask))
        data['inputs'].append(torch.where(mask > 0, 100.0, gt))
        data['data_samples'].append(sample)
    return data


def parameters(module):
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def moved(before, module):
    after = parameters(module)
    return [name for name in before if not torch.equal(before[name], after[name])]


def batch_of(model, data):
    return model.make_batch(model.data_preprocessor(copy.deepcopy(data), True))


def check_update_equals_that_of_repeated_inputs(model, data, n=2, k=3):
    """Every term of the generator's loss, and its gradient, in double precision."""
    model.double()
    batch = batch_of(model, data).first(n)
    batch = type(batch)(
        *(
            v.double() if v is not None and v.is_floating_point() else v
            for v in vars(batch).values()
        )
    )
    z = {}
    samples = model.draw(model.generator, batch, k, keep=z)
    shared = model.generator_losses(batch, samples, None)
    weights = list(model.generator.parameters())
    ours = torch.autograd.grad(sum(shared.values()), weights)

    z = {site: values.flatten(0, 1)[:, None] for site, values in z.items()}
    batch = type(batch)(
        *(v if v is None else v.repeat_interleave(k, 0) for v in vars(batch).values())
    )
    samples = model.draw(model.generator, batch, 1, z=z)
    repeated = model.generator_losses(batch, samples, None)
    theirs = torch.autograd.grad(sum(repeated.values()), weights)
    assert shared.keys() == repeated.keys()
    for name in shared:
        torch.testing.assert_close(shared[name], repeated[name], rtol=1e-10, atol=0)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def check_training(model, data):
    """Finite logs; each network moves by its own update; the predictor never."""
    trained(model)
    before = {
        name: parameters(getattr(model, name))
        for name in (model.generator_name, model.discriminator_name, 'predictor')
        if getattr(model, name) is not None
    }
    wrappers = optim_wrapper(model)
    logs = model.train_step(copy.deepcopy(data), wrappers)
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


def check_released_checkpoints_load(model, stock):
    """Of MMagic's own class: only the noise and the predictor are new."""
    result = model.load_state_dict(stock.state_dict(), strict=False)
    assert result.unexpected_keys == []
    new = [k for k in result.missing_keys if not k.startswith('predictor.')]
    assert new == [f'generator.{site}.noise.conv.weight' for site in model.noise_sites]
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
