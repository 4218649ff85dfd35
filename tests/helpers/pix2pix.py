"""A small Pix2Pix, and data for it."""

import copy

import torch
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import init_default_scope

import mmagic_mr.plugin  # noqa: F401

KEYS = ['img_label', 'img_photo']
OURS = ('num_samples', 'mr_loss')  # set by the tests, not part of a host


def config(num_down=5, base_channels=4, **kwargs):
    network = dict(base_channels=base_channels, norm_cfg=dict(type='BN'))
    defaults = dict(
        type='MRPix2Pix',
        data_preprocessor=dict(type='DataPreprocessor', data_keys=KEYS),
        generator=dict(
            type='UnetGenerator',
            in_channels=3,
            out_channels=3,
            num_down=num_down,
            **network,
        ),
        discriminator=dict(
            type='PatchDiscriminator', in_channels=6, num_conv=2, **network
        ),
        default_domain='photo',
        reachable_domains=['photo'],
        related_domains=['photo', 'label'],
        noise='pix2pix',
        num_samples=3,
        mr_loss=dict(type='MRLoss', loss_weight=10.0),
    )
    return {**defaults, **kwargs}


def build(**kwargs):
    init_default_scope('mmagic')
    torch.manual_seed(0)
    model = MODELS.build(config(**kwargs))
    model.init_weights()
    return model


def optim_wrapper(model, **kwargs):
    cfg = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)) | kwargs
    return OptimWrapperDict(
        generators=build_optim_wrapper(model.generators, copy.deepcopy(cfg)),
        discriminators=build_optim_wrapper(model.discriminators, copy.deepcopy(cfg)),
    )


def data(n=4, size=32):
    rng = torch.Generator().manual_seed(1)
    inputs = {
        key: [
            torch.randint(256, (3, size, size), generator=rng).float() for _ in range(n)
        ]
        for key in KEYS
    }
    samples = []
    for i in range(n):
        sample = DataSample(metainfo=dict(pair_path=f'data/val/{i}.png'))
        sample.set_tensor_data({key: inputs[key][i].clone() for key in KEYS})
        samples.append(sample)
    return dict(
        inputs=[{k: v[i] for k, v in inputs.items()} for i in range(n)],
        data_samples=samples,
    )


def parameters(module):
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def moved(before, module):
    after = parameters(module)
    return [name for name in before if not torch.equal(before[name], after[name])]
