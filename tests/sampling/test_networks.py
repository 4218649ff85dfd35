"""MMagic's networks with noise: equal to the repeated input, and to themselves."""

import re

import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

from mmagic_mr.host import MODELS
from mmagic_mr.sampling import add_noise_sites, sampling


def innermost_decoder(generator):
    """The three innermost decoder convolutions: 1x1, 2x2, 4x4 at full depth."""
    decoder = [
        name
        for name, module in generator.named_modules()
        if isinstance(module, nn.ConvTranspose2d)
    ]
    return {re.escape(name): 32 for name in decoder[:3]}


UNET = dict(
    type='UnetGenerator', in_channels=3, out_channels=3, num_down=5, base_channels=4
)
RESNET = dict(
    type='MSRResNet', in_channels=3, out_channels=3, mid_channels=4, num_blocks=3
)
GLCIC = dict(type='GLEncoderDecoder')
RRDB = dict(
    type='RRDBNet',
    in_channels=3,
    out_channels=3,
    mid_channels=8,
    num_blocks=2,
    growth_channels=4,
)
SWINIR = dict(
    type='SwinIRNet',
    upscale=2,
    in_chans=3,
    img_size=8,
    window_size=4,
    depths=[2, 2],
    embed_dim=8,
    num_heads=[2, 2],
    mlp_ratio=2,
    upsampler='pixelshuffledirect',
    drop_path_rate=0.0,
)
PRESETS = {
    'unet': innermost_decoder,
    'resnet': {r'trunk_net\.\d+\.conv1': 16},
    'glcic': {
        r'encoder\.enc6\.conv': 32,
        r'dilation_neck\.dilation_convs\.[01]\.conv': 32,
    },
    'rrdb': {r'body\.\d\.rdb2\.conv3': 8},
    'swinir': {r'layers\.0\.conv': 4, 'conv_after_body': 4},
}
HOSTS = [
    pytest.param(UNET, 'unet', (3, 32, 32), id='unet'),
    pytest.param(RESNET, 'resnet', (3, 8, 8), id='resnet'),
    pytest.param(GLCIC, 'glcic', (4, 16, 16), id='glcic'),
    pytest.param(RRDB, 'rrdb', (3, 8, 8), id='rrdb'),
    pytest.param(SWINIR, 'swinir', (3, 8, 8), id='swinir'),
]


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmagic')


def build(cfg, noise):
    network = MODELS.build(cfg)
    sites = add_noise_sites(network, noise, PRESETS)
    return network.double(), sites


def gradients(network, output):
    network.zero_grad()
    output.square().sum().backward()
    return {name: p.grad.clone() for name, p in network.named_parameters()}


@pytest.mark.parametrize(('cfg', 'preset', 'size'), HOSTS)
def test_shared_work_equals_the_repeated_input(cfg, preset, size):
    n, k = 3, 4
    network, _ = build(cfg, preset)
    x = torch.randn(n, *size, dtype=torch.double)
    z = {}
    with sampling(n, k, keep=z):
        shared = network(x)
    ours = gradients(network, shared)
    repeated_z = {site: values.flatten(0, 1)[:, None] for site, values in z.items()}
    with sampling(n * k, 1, z=repeated_z):
        repeated = network(x.repeat_interleave(k, 0))
    assert shared.shape == repeated.shape
    torch.testing.assert_close(shared, repeated, rtol=0, atol=1e-9)
    for name, reference in gradients(network, repeated).items():
        torch.testing.assert_close(ours[name], reference, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(('cfg', 'preset', 'size'), HOSTS)
def test_without_noise_weights_it_is_mmagics_network(cfg, preset, size):
    stock = MODELS.build(cfg).double().eval()
    network, sites = build(cfg, preset)
    missing, unexpected = network.load_state_dict(stock.state_dict(), strict=False)
    assert missing == [f'{site}.noise.conv.weight' for site in sites]
    assert unexpected == []
    for name, parameter in network.named_parameters():
        if '.noise.' in name:
            nn.init.zeros_(parameter)
    x = torch.randn(2, *size, dtype=torch.double)
    torch.testing.assert_close(network.eval()(x), stock(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize('share', [True, False])
@pytest.mark.parametrize(('cfg', 'preset', 'size'), HOSTS)
def test_single_precision(cfg, preset, size, share):
    n, k = 2, 3
    network = build(cfg, preset)[0].float().eval()
    x, z = torch.rand(n, *size), {}
    with torch.no_grad():
        with sampling(n, k, seeds=[1, 2], share=share, keep=z) as drawing:
            samples = drawing.samples(network(drawing.enter(x)))
        repeated_z = {site: v.flatten(0, 1)[:, None] for site, v in z.items()}
        with sampling(n * k, 1, z=repeated_z):
            repeated = network(x.repeat_interleave(k, 0))
    torch.testing.assert_close(samples.flatten(0, 1), repeated, rtol=0, atol=4e-6)


def test_preset_is_the_innermost_decoder():
    network, sites = build(UNET, 'unet')
    z = {}
    with sampling(2, 3, keep=z):
        network(torch.randn(2, 3, 32, 32, dtype=torch.double))
    assert [tuple(z[site].shape) for site in sites] == [
        (2, 3, 32, 1, 1),
        (2, 3, 32, 2, 2),
        (2, 3, 32, 4, 4),
    ]


def test_samples_together_are_the_single_ones():
    network, _ = build(UNET, 'unet')
    network.eval()
    x = torch.randn(2, 3, 32, 32, dtype=torch.double)
    z = {}
    with sampling(2, 5, keep=z):
        together = network(x).unflatten(0, (2, 5))
    for k in range(5):
        with sampling(2, 1, z={site: v[:, k : k + 1] for site, v in z.items()}):
            torch.testing.assert_close(network(x), together[:, k], rtol=0, atol=1e-12)
    assert (together[:, 0] - together[:, 1]).abs().max() > 1e-3


def test_samples_depend_on_the_seed_and_not_on_the_batch():
    network, _ = build(UNET, 'unet')
    network.eval()
    x = torch.randn(3, 3, 32, 32, dtype=torch.double)

    def draw(x, seeds):
        with sampling(len(x), 2, seeds=seeds):
            return network(x).unflatten(0, (len(x), 2))

    whole = draw(x, [5, 6, 7])
    torch.testing.assert_close(draw(x[1:2], [6])[0], whole[1], rtol=0, atol=1e-12)
    flipped = draw(x.flip(0), [7, 6, 5]).flip(0)
    torch.testing.assert_close(flipped, whole, rtol=0, atol=1e-12)
    assert (draw(x[:1], [5]) - draw(x[:1], [6])).abs().max() > 1e-3
