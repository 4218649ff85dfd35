"""Noise at named convolutions."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d

from mmagic_mr.errors import UserError
from mmagic_mr.sampling import add_noise_sites, sampling


def network():
    """Convolutions ``first``, ``trunk.0``, ``trunk.1``, ``last``."""
    return nn.ModuleDict(
        dict(
            first=nn.Conv2d(3, 4, 3),
            trunk=nn.ModuleList([nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)]),
            last=nn.ConvTranspose2d(4, 3, 3),
        )
    )


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


def test_noise_weights_start_like_the_hosts():
    conv = nn.Conv2d(16, 64, 3)
    nn.init.normal_(conv.weight, std=0.7)
    host = nn.Sequential(conv)
    add_noise_sites(host, dict(sites={'0': 16}))
    assert conv.noise.conv.weight.std().item() == pytest.approx(0.7, rel=0.05)


def test_sites_come_in_the_order_of_the_network():
    net = network()
    noise = dict(sites={'last': 1, r'trunk\.\d': 2}, type='uniform')
    assert add_noise_sites(net, noise) == ['trunk.0', 'trunk.1', 'last']
    assert net['trunk'][1].noise.channels == 2
    assert net['last'].noise.noise_type == 'uniform'
    added = [name for name, _ in net.named_parameters() if '.noise.' in name]
    assert added == [
        f'{site}.noise.conv.weight' for site in ('trunk.0', 'trunk.1', 'last')
    ]


@pytest.mark.parametrize(
    'preset', [{'first': 4}, lambda generator: {next(iter(generator)): 4}]
)
def test_preset(preset):
    net = network()
    assert add_noise_sites(net, 'mine', {'mine': preset}) == ['first']
    assert net['first'].noise.channels == 4


@pytest.mark.parametrize(
    ('noise', 'message'),
    [
        ('pix2pixx', r"unknown noise preset 'pix2pixx'; presets here are \['a', 'b'\]"),
        (dict(sites={r'trunk\.9': 4}), r'near names are .*trunk\.1'),
        (dict(sites={'first': 4}, type='laplace'), "got 'laplace'"),
        (dict(sites={'first': 4}, type='gausian'), "did you mean 'gaussian'"),
        (dict(sites={'.*st': 4, 'last': 2}), "two .* match .*'last'"),
        (dict(sites={'first': 4}, typ='uniform'), "'typ' .*did you mean 'type'"),
        (dict(sites={'first': 4}, color=1), r"'color' .*it has \['sites', 'preset'"),
        (dict(sites={'first': 4}, extent='golbal'), "did you mean 'global'"),
        (dict(preset='a', sites={'first': 4}), "preset='a' and sites: give one"),
        (dict(preset='c'), r"unknown noise preset 'c'; presets here are \['a', 'b'\]"),
        (dict(preset=3), 'unknown noise preset 3'),
        (
            dict(sites={'first': 4, 'last': 2}, extent='global'),
            "'first' has 4 channels, 'last' 2: give all the same",
        ),
        (dict(site={'first': 4}), "'site' .*did you mean 'sites'"),
        (dict(type='uniform'), 'got sites=None'),
        (dict(sites={}), r'got sites=\{\}'),
        (dict(sites=['first']), r"got sites=\['first'\]"),
        (dict(sites={'first': 0}), "'first': .* positive integer, got 0"),
        (dict(sites={'first': -1}), 'positive integer, got -1'),
        (dict(sites={'first': 2.0}), 'positive integer, got 2.0'),
        (dict(sites={'first': '4'}), "positive integer, got '4'"),
        (dict(sites={'first': True}), 'positive integer, got True'),
        (dict(sites={'first': 1}, type='categorical'), 'one channel is always 1'),
        (dict(sites={'first(': 4}), r"'first\(' is no regular expression"),
        (None, 'got NoneType'),
    ],
)
def test_what_is_wrong_with_the_noise_is_said(noise, message):
    net = network()
    before = net.state_dict().keys()
    with pytest.raises(UserError, match=message):
        add_noise_sites(net, noise, {'b': {'first': 1}, 'a': {'first': 1}})
    assert net.state_dict().keys() == before


def test_a_site_has_noise_once():
    net = network()
    add_noise_sites(net, dict(sites={'first': 2}))
    with pytest.raises(UserError, match="'first' has noise already"):
        add_noise_sites(net, dict(sites={'first': 2}))


def test_grouped_convolutions_are_refused():
    net = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2))
    with pytest.raises(UserError, match=r'2 groups.*this network has none'):
        add_noise_sites(net, dict(sites={'0': 2}))


def test_a_convolution_that_returns_more():
    class Partial(nn.Conv2d):
        def forward(self, x):
            return super().forward(x), x

    class Odd(nn.Conv2d):
        def forward(self, x):
            return dict(features=super().forward(x))

    net = nn.Sequential(Partial(3, 4, 3))
    add_noise_sites(net, dict(sites={'0': 2}))
    x = torch.rand(1, 3, 4, 4)
    with sampling(1, 2, keep=(z := {})):
        features, mask = net(x)
    assert mask is x
    torch.testing.assert_close(
        features, net[0].forward(x)[0] + net[0].noise.conv(z['0'][0])
    )
    net = nn.Sequential(Odd(3, 4, 3))
    add_noise_sites(net, dict(sites={'0': 2}))
    with pytest.raises(UserError, match="'0' is a Odd, which returns dict"):
        net(x)


def test_zero_noise_weights():
    net = network()
    add_noise_sites(net, dict(sites={'first': 2}), init='zero')
    noise = net['first'].noise
    assert not noise.conv.weight.any()
    nn.init.ones_(noise.conv.weight)  # as the initialization of a network might
    noise.reset()
    assert not noise.conv.weight.any()
    with pytest.raises(UserError, match=r"init must be one of.*got 'zeros'.*'zero'"):
        add_noise_sites(net, dict(sites={'last': 2}), init='zeros')
