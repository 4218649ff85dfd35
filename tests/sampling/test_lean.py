"""What is computed again in the backward pass is what would have been kept."""

import gc
from contextlib import nullcontext

import pytest
import torch
from helpers.memory import peak_saved_bytes, saved_bytes
from torch import nn

from mmagic_mr.errors import UserError
from mmagic_mr.sampling import LeanBackward, add_noise_sites, sampling

MAP = 4 * 4 * 16 * 16  # bytes of a map of one channel, for 4 rows of 16 x 16
NORMS = dict(
    batch=nn.BatchNorm2d,
    instance=lambda c: nn.InstanceNorm2d(c, affine=True),
    tracked=lambda c: nn.InstanceNorm2d(c, track_running_stats=True),
    group=lambda c: nn.GroupNorm(2, c),
)


def conv(a, b):
    return nn.Conv2d(a, b, 3, padding=1)


def network(norm=nn.BatchNorm2d, inplace=True):
    torch.manual_seed(0)
    return nn.Sequential(
        *(conv(1, 8), nn.LeakyReLU(0.2, inplace)),
        *(conv(8, 8), norm(8), nn.LeakyReLU(0.2, inplace)),
        *(conv(8, 8), norm(8), nn.ELU(), nn.ReLU(inplace)),
        conv(8, 1),
    )


class Skips(nn.Module):
    """Concatenations of what a normalization gives, changed in place before."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.down, self.norm = conv(1, 8), nn.BatchNorm2d(8)
        self.inner, self.inner_norm = conv(8, 8), nn.BatchNorm2d(8)
        self.up = conv(16, 1)

    def forward(self, x):
        x = self.norm(self.down(x))
        h = self.inner_norm(self.inner(nn.functional.leaky_relu(x, 0.2, True)))
        return self.up(nn.functional.relu(torch.cat([x, h], 1), inplace=True))


def images():
    rng = torch.Generator().manual_seed(1)
    return torch.randn(4, 1, 16, 16, generator=rng)


def run(net, lean, autocast=False, again=False):
    """Output, gradients, and bytes that are kept."""
    x = images().requires_grad_()
    context = LeanBackward() if lean else nullcontext()
    with saved_bytes() as sizes, torch.autocast('cpu', enabled=autocast), context:
        output = net(x)
    output.square().mean().backward(retain_graph=again)
    if again:
        output.square().mean().backward()
    weights = [p.grad for p in net.parameters() if p.requires_grad]
    return [output, x.grad, *weights], sum(sizes)


@pytest.mark.parametrize('norm', NORMS)
@pytest.mark.parametrize('inplace', [False, True])
@pytest.mark.parametrize('mode', ['train', 'eval', 'frozen', 'autocast', 'again'])
def test_same_values_and_gradients_of_fewer_bytes(norm, inplace, mode):
    found = []
    for lean in False, True:
        net = network(NORMS[norm], inplace).train(mode != 'eval')
        net.requires_grad_(mode != 'frozen')
        found.append(run(net, lean, mode == 'autocast', mode == 'again'))
    (plain, before), (ours, after) = found
    for a, b in zip(plain, ours, strict=True):
        assert torch.equal(a, b)
    assert after < 0.75 * before


def test_what_is_kept():
    net = network()
    weights = sum(4 * p.numel() for p in net.parameters())
    statistics = 2 * 4 * 4 * 8  # of each normalization: two of the batch, two running
    _, kept = run(net, lean=True)
    # The image; what the first activation gives, what both normalizations get
    assert kept == weights - 4 * (3 * 8 + 1) + statistics + MAP * (1 + 3 * 8)
    # With frozen weights a byte for each sign, and the image is needed no more
    net = network().requires_grad_(False)
    _, frozen = run(net, lean=True)
    assert frozen == kept - MAP * (1 + 8) + MAP * 8 // 4


@pytest.mark.parametrize('share', [True, False])
def test_skip_connections_under_sharing(share):
    found = []
    for lean in False, True:
        net = Skips()
        add_noise_sites(net, dict(sites={'inner': 2}))
        context = LeanBackward() if lean else nullcontext()
        drawing = sampling(4, 3, share=share, seeds=[1, 2, 3, 4])
        with saved_bytes() as sizes, context, drawing as draw:
            samples = draw.samples(net(draw.enter(images())))
        samples.std(1).mean().backward()
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        found.append(([samples, *gradients], sum(sizes)))
    (plain, before), (ours, after) = found
    for a, b in zip(plain, ours, strict=True):
        assert torch.equal(a, b)
    assert after < 0.75 * before


def test_running_statistics_of_the_forward_pass():
    found = []
    for lean in False, True:
        net = network().eval()
        x = images().requires_grad_()
        with LeanBackward() if lean else nullcontext():
            output = net(x)
        net[3].running_mean.data += 1.0  # autograd is not told, as in training
        output.sum().backward()
        found.append(x.grad)
    assert torch.equal(*found)


def test_second_derivatives():
    found = []
    for lean in False, True:
        net, x = network(), images().requires_grad_()
        with LeanBackward() if lean else nullcontext():
            output = net(x)
        (slope,) = torch.autograd.grad(output.sum(), x, create_graph=True)
        slope.square().sum().backward()
        found.append(net[0].weight.grad)
    torch.testing.assert_close(*found, rtol=1e-5, atol=0)


def test_a_change_in_place_is_an_error():
    net = network()
    with LeanBackward():
        output = net(images()).mean()
    with torch.no_grad():
        net[2].weight += 1
    with pytest.raises(UserError, match=r'changed in place after the forward pass'):
        output.backward()


def test_nothing_is_held_when_the_graph_is_gone():
    """Not until garbage is collected either: chunks would add up."""
    net = nn.Sequential(network(), nn.Tanh())
    gc.collect()
    gc.disable()
    try:
        with peak_saved_bytes() as peak:
            peaks = []
            for _ in range(3):
                with LeanBackward():
                    output = net(images())
                output.sum().backward()
                del output
                peaks.append(peak[0])
        assert peaks[0] == peaks[2] > 0
    finally:
        gc.enable()
