"""Noise at named convolutions, and the work that the K samples share."""

import pytest
import torch
from mmagic.registry import MODELS
from mmengine.registry import init_default_scope
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.sampling.noise import NOISE_TYPES, add_noise_sites, draw_noise, sampling
from mmagic_mr.sampling.sharing import ChannelCat, SharedForward

UNET = dict(
    type='UnetGenerator', in_channels=3, out_channels=3, num_down=5, base_channels=4
)
RESNET = dict(
    type='MSRResNet', in_channels=3, out_channels=3, mid_channels=4, num_blocks=3
)
GLCIC = dict(type='GLEncoderDecoder')
HOSTS = [
    (UNET, 'pix2pix', (3, 32, 32)),
    (RESNET, 'srgan', (3, 8, 8)),
    (GLCIC, 'glcic', (4, 16, 16)),
]


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmagic')


def build(cfg, noise):
    network = MODELS.build(cfg)
    sites = add_noise_sites(network, noise)
    return network.double(), sites


def gradients(network, output):
    network.zero_grad()
    output.square().sum().backward()
    return {name: p.grad.clone() for name, p in network.named_parameters()}


@pytest.mark.parametrize('transposed', [False, True])
def test_equals_a_real_concatenation(transposed):
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    host = nn.Sequential(kind(5, 7, 4, stride=2, padding=1)).double()
    add_noise_sites(host, dict(sites={'0': 3}))
    host.double()
    h = torch.randn(2, 5, 8, 8, dtype=torch.double, requires_grad=True)
    z = torch.randn(2, 1, 3, 8, 8, dtype=torch.double, requires_grad=True)
    with sampling(2, 1, z={'0': z}):
        output = host(h)
    cat_dim, function = (0, conv_transpose2d) if transposed else (1, conv2d)
    weight = torch.cat([host[0].weight, host[0].noise.conv.weight], cat_dim)
    expected = function(
        torch.cat([h, z.squeeze(1)], 1), weight, host[0].bias, stride=2, padding=1
    )
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-10)
    leaves = [h, z, *host.parameters()]
    direction = torch.randn_like(output)
    for ours, reference in zip(
        torch.autograd.grad(output, leaves, direction),
        torch.autograd.grad(expected, leaves, direction),
        strict=True,
    ):
        torch.testing.assert_close(ours, reference, rtol=0, atol=1e-10)


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


def test_preset_is_the_innermost_decoder():
    network, sites = build(UNET, 'pix2pix')
    z = {}
    with sampling(2, 3, keep=z):
        network(torch.randn(2, 3, 32, 32, dtype=torch.double))
    assert [tuple(z[site].shape) for site in sites] == [
        (2, 3, 32, 1, 1),
        (2, 3, 32, 2, 2),
        (2, 3, 32, 4, 4),
    ]


def test_samples_together_are_the_single_ones():
    network, _ = build(UNET, 'pix2pix')
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
    network, _ = build(UNET, 'pix2pix')
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


@pytest.mark.parametrize(
    ('noise_type', 'mean', 'variance'),
    [
        ('gaussian', 0, 1),
        ('uniform', 1 / 2, 1 / 12),
        ('bernoulli', 1 / 2, 1 / 4),
        ('categorical', 1 / 4, 3 / 16),
    ],
)
def test_noise_types(noise_type, mean, variance):
    z = draw_noise(noise_type, (50, 4, 4, 32, 32), torch.Generator().manual_seed(0))
    assert z.dtype == torch.float32
    assert z.mean().item() == pytest.approx(mean, abs=0.01)
    assert z.var().item() == pytest.approx(variance, rel=0.02)
    if noise_type == 'categorical':
        assert (z.sum(2) == 1).all()
    assert noise_type in NOISE_TYPES


def test_noise_weights_start_like_the_hosts():
    network, sites = build(RESNET, 'srgan')
    conv = network.get_submodule(sites[0])
    ratio = conv.noise.conv.weight.std() / conv.weight.std()
    assert ratio.item() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(
    ('noise', 'message'),
    [
        ('pix2pixx', "unknown noise preset 'pix2pixx'"),
        (dict(sites={r'trunk_net\.9\.conv1': 4}), r'near names are .*trunk_net'),
        (dict(sites={'conv_first': 4}, type='laplace'), "got 'laplace'"),
        (dict(sites={'conv_.*': 4, 'conv_hr': 2}), "two .* match .*'conv_hr'"),
    ],
)
def test_bad_sites(noise, message):
    with pytest.raises(ValueError, match=message):
        add_noise_sites(MODELS.build(RESNET), noise)


def test_bad_z():
    network, sites = build(RESNET, 'srgan')
    x = torch.randn(2, 3, 8, 8, dtype=torch.double)
    with pytest.raises(ValueError, match='lacks the noise site'), sampling(2, 1, z={}):
        network(x)
    z = {site: torch.zeros(2, 3, 16, 8, 8) for site in sites}
    with pytest.raises(ValueError, match=r'shape \(2, 3, 16'), sampling(2, 1, z=z):
        network(x)


@pytest.mark.parametrize('use', [lambda c: c.sum(), lambda c: torch.tanh(c).sum()])
def test_a_put_off_concatenation_serves_any_use(use):
    skip, h = torch.randn(2, 3, 4, 4), torch.randn(6, 2, 4, 4)
    with SharedForward(2, 3):
        cat = torch.cat([skip, h], 1)
        assert isinstance(cat, ChannelCat)
        assert cat.shape == (6, 5, 4, 4)
        total = use(cat)
    real = torch.cat([skip.repeat_interleave(3, 0), h], 1)
    torch.testing.assert_close(total, use(real))


def test_activations_in_place_leave_the_parts_alone():
    skip, h = torch.randn(2, 3, 4, 4), torch.randn(6, 2, 4, 4)
    before = skip.clone(), h.clone()
    with SharedForward(2, 3):
        cat = torch.cat([skip, h], dim=1)
        for act in nn.ReLU(inplace=True), nn.LeakyReLU(0.2, inplace=True):
            act(cat)
    assert torch.equal(skip, before[0])
    assert torch.equal(h, before[1])
