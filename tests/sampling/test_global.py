"""Global noise: one vector for the image, the same at all places of all sites."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from mmagic_mr.errors import UserError
from mmagic_mr.sampling import NOISE_TYPES, add_noise_sites, draw_noise, sampling
from mmagic_mr.sampling.noise import constant_convolution

N, K = 2, 3


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 5, padding=2)

    def forward(self, x):
        # Dropout comes after a draw: it finds the random numbers that it found before.
        h = nn.functional.dropout(torch.tanh(self.first(x)), 0.3, self.training)
        return x + self.second(h)


class Network(nn.Module):
    """Downsampling, two blocks (with checkpointing, if asked for), upsampling."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 4, 4, 2, 1)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.tail = nn.ConvTranspose2d(4, 3, 4, 2, 1)
        self.checkpointing = None

    def forward(self, x):
        x = self.head(x)
        for block in self.blocks:
            if self.checkpointing is None:
                x = block(x)
            else:
                x = checkpoint(block, x, **self.checkpointing)
        return self.tail(x)


SITES = {r'blocks\.\d\.(first|second)': 2, 'tail': 2}


def network(extent='global', **noise):
    torch.manual_seed(0)
    net = Network()
    add_noise_sites(net, dict(sites=SITES, extent=extent, **noise))
    return net.double()


def inputs(n=N):
    return torch.rand(n, 3, 8, 8, dtype=torch.double)


@pytest.mark.parametrize('size', [(7, 5), (1, 2), (4, 4)])
@pytest.mark.parametrize(
    ('kind', 'kernel', 'geometry'),
    [
        (nn.Conv2d, 3, dict(padding=1)),
        (nn.Conv2d, 1, dict(stride=2)),
        (nn.Conv2d, (3, 5), dict(padding=(1, 2), stride=(2, 1))),
        (nn.Conv2d, 3, dict(padding=2, dilation=2)),
        (nn.Conv2d, 4, dict(padding='same')),
        (nn.Conv2d, 5, dict(padding=2, padding_mode='replicate')),
        (nn.Conv2d, 4, dict(padding=3, stride=2)),
        (nn.ConvTranspose2d, 4, dict(stride=2, padding=1)),
        (nn.ConvTranspose2d, 3, dict(stride=2, padding=1, output_padding=1)),
        (nn.ConvTranspose2d, (2, 3), dict(stride=(3, 1), dilation=(1, 2))),
    ],
    ids=str,
)
@pytest.mark.filterwarnings('ignore:Using padding=.same.')
def test_equals_the_convolution_of_the_map(kind, kernel, geometry, size):
    conv = kind(3, 4, kernel, bias=False, **geometry).double()
    z = torch.randn(5, 3, 1, 1, dtype=torch.double, requires_grad=True)
    expected = conv(z.expand(-1, -1, *size))
    output = constant_convolution(conv, z, size)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)
    leaves = [z, conv.weight]
    direction = torch.randn_like(output)
    for ours, reference in zip(
        torch.autograd.grad(output, leaves, direction),
        torch.autograd.grad(expected, leaves, direction),
        strict=True,
    ):
        torch.testing.assert_close(ours, reference, rtol=0, atol=1e-11)


@pytest.mark.parametrize('share', [True, False])
def test_a_network_equals_the_one_with_maps(share):
    net, maps, x = network().eval(), network('map').eval(), inputs()
    maps.load_state_dict(net.state_dict())
    kept = {}
    with sampling(N, K, seeds=[1, 2], share=share, keep=kept) as drawing:
        ours = drawing.samples(net(drawing.enter(x)))
    assert list(kept) == ['global']
    assert kept['global'].shape == (N, K, 2, 1, 1)
    sites = [m.noise.site for m in maps.modules() if hasattr(m, 'noise')]
    z = {site: kept['global'].expand(-1, -1, -1, 4, 4) for site in sites}
    with sampling(N, K, z=z) as drawing:
        expected = drawing.samples(maps(x))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    assert ours.flatten(2).std(1).min() > 1e-3


def test_it_takes_a_fraction_of_the_work():
    conv = nn.Conv2d(16, 64, 3, padding=1, bias=False)
    z = torch.rand(20, 16, 1, 1)
    flops = []
    for function in (
        lambda: conv(z.expand(-1, -1, 32, 32)),
        lambda: constant_convolution(conv, z, (32, 32)),
    ):
        with FlopCounterMode(display=False) as counter:
            function()
        flops.append(counter.get_total_flops())
    assert flops[1] < flops[0] / 20


@pytest.mark.parametrize('noise_type', NOISE_TYPES)
def test_seeded_noise_is_pinned(noise_type):
    kept, alone = {}, {}
    net, x = network(type=noise_type), inputs()
    with sampling(N, K, seeds=[5, 6], keep=kept) as drawing:
        both = drawing.samples(net(x))
    own = [
        draw_noise(noise_type, (K, 2, 1, 1), torch.Generator().manual_seed(seed))
        for seed in (5, 6)
    ]
    assert torch.equal(kept['global'], torch.stack(own))
    net.eval()
    with sampling(N, K, seeds=[5, 6]) as drawing:
        both = drawing.samples(net(x))
    with sampling(1, K, seeds=[6], keep=alone) as drawing:
        torch.testing.assert_close(drawing.samples(net(x[1:]))[0], both[1])
    assert torch.equal(alone['global'][0], own[1])


def test_kept_noise_gives_the_same_samples():
    net, x, kept = network().eval(), inputs(), {}
    with sampling(N, K, keep=kept) as drawing:
        samples = drawing.samples(net(x))
    with sampling(N, K, z=kept) as drawing:
        assert torch.equal(drawing.samples(net(x)), samples)


@pytest.mark.parametrize(
    ('z', 'message'),
    [
        ({'tail': torch.zeros(N, K, 2, 1, 1)}, r"one vector for the image 'global'"),
        ({'global': torch.zeros(N, K, 2, 4, 4)}, r'expected .* \(2, 3, 2, 1, 1\)'),
    ],
)
def test_bad_z(z, message):
    with pytest.raises(UserError, match=message), sampling(N, K, z=z):
        network()(inputs())


def test_gradients_reach_a_given_z():
    net, x = network().eval(), inputs()
    z = torch.zeros(N, K, 2, 1, 1, dtype=torch.double, requires_grad=True)

    def draw(z):
        with sampling(N, K, z={'global': z}) as drawing:
            return drawing.samples(net(x))

    assert torch.autograd.gradcheck(lambda z: draw(z).square().mean((2, 3, 4)), z)


def test_outside_of_a_context_all_sites_get_the_same_fresh_vector():
    net, x = network().eval(), inputs(1).repeat(4, 1, 1, 1)
    torch.manual_seed(5)
    rows = net(x)
    torch.manual_seed(5)
    z = torch.randn(4, 1, 2, 1, 1)
    with sampling(4, 1, z={'global': z}) as drawing:
        assert torch.equal(drawing.samples(net(x))[:, 0], rows)
    assert (rows[0] - rows[1]).abs().max() > 1e-3
    assert not torch.equal(net(x), rows)


def test_a_failing_network_leaves_its_own_context():
    net = network()
    with pytest.raises(RuntimeError, match='channels'):
        net(torch.rand(3, 2, 8, 8, dtype=torch.double))
    assert net(inputs(5)).shape == (5, 3, 8, 8)
    with pytest.raises(UserError, match='called without a tensor'):
        net(3)


def test_networks_in_one_context_with_other_numbers_of_channels_are_refused():
    other = Network().double()
    add_noise_sites(other, dict(sites={'head': 3}, extent='global'))
    message = r"'head' has 3 channels, .* has 2: give all sites the same"
    with sampling(N, K):
        network()(inputs())
        with pytest.raises(UserError, match=message):
            other(inputs())


@pytest.mark.parametrize('share', [True, False])
@pytest.mark.parametrize('reentrant', [True, False])
@pytest.mark.parametrize('source', ['fresh', 'seeds', 'z', 'alone'])
def test_recomputation(source, reentrant, share):
    net, x = network(), inputs().requires_grad_()
    z = {'global': torch.rand(N, K, 2, 1, 1)}
    sources = dict(seeds=dict(seeds=[1, 2]), z=dict(z=z)).get(source, {})

    def gradients(checkpointing):
        net.checkpointing = checkpointing
        net.zero_grad()
        torch.manual_seed(3)
        if source == 'alone':
            output = net(x)
        else:
            with sampling(N, K, share=share, **sources) as drawing:
                output = net(drawing.enter(x))
        with sampling(N, K, seeds=[5, 6], share=share) as drawing:
            net(drawing.enter(x))
        torch.manual_seed(4)
        output.square().sum().backward()
        return [output.detach(), *(p.grad.clone() for p in net.parameters())]

    expected, *plain = gradients(None)
    output, *ours = gradients(dict(use_reentrant=reentrant))
    assert torch.equal(output, expected)
    for gradient, reference in zip(ours, plain, strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_autocast_is_finite(dtype):
    net, x = network().float().eval(), inputs().float()
    with sampling(N, K, seeds=[1, 2]) as drawing:
        expected = drawing.samples(net(x))
    with torch.autocast('cpu', dtype), sampling(N, K, seeds=[1, 2]) as drawing:
        samples = drawing.samples(net(x)).float()
    torch.testing.assert_close(samples, expected, rtol=0.05, atol=0.05)


def test_a_preset_can_be_global():
    net = Network()
    noise = dict(preset='mine', extent='global', type='uniform')
    assert add_noise_sites(net, noise, {'mine': {'tail': 3}}) == ['tail']
    assert (net.tail.noise.extent, net.tail.noise.noise_type) == ('global', 'uniform')
