"""Activation checkpointing: what is computed again in the backward pass is the same."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmagic_mr.sampling import SharedForward, add_noise_sites, sampling

N, K = 2, 3
CHECKPOINT = dict(use_reentrant=False)


class Block(nn.Module):
    """Two noise sites, dropout and a skip connection, by sum and by concatenation."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x):
        h = torch.tanh(self.first(x))
        h = nn.functional.dropout(self.second(h), 0.3)
        h += x
        return torch.tanh(self.last(torch.cat([x, h], 1)))


class Network(nn.Module):
    """Convolutions before, and the same blocks with and without checkpointing."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 4, 3, padding=1)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.checkpointing = None

    def forward(self, x):
        x = self.head(x)
        for block in [*self.blocks, self.blocks[0]]:
            if self.checkpointing is None:
                x = block(x)
            else:
                x = checkpoint(block, x, **self.checkpointing)
        return x


def network():
    torch.manual_seed(0)
    net = Network()
    add_noise_sites(net, dict(sites={r'blocks\..\.(first|second)': 2}))
    return net.double()


def gradients(net, checkpointing, source, **kwargs):
    """Of one draw; a second draw comes between its forward and its backward pass."""
    net.checkpointing = checkpointing
    net.zero_grad()
    torch.manual_seed(3)
    x = torch.rand(N, 3, 6, 6, dtype=torch.double)
    with sampling(N, K, **source, **kwargs):
        output = net(x)
    with sampling(N, K, seeds=[5, 6], **kwargs):
        net(x)
    torch.manual_seed(4)
    output.square().sum().backward()
    return output.detach(), {name: p.grad.clone() for name, p in net.named_parameters()}


def given_z():
    z = {}
    net = network()
    with sampling(N, K, keep=z):
        net(torch.rand(N, 3, 6, 6, dtype=torch.double))
    return z


SOURCES = {
    'fresh': dict,
    'seeds': lambda: dict(seeds=[1, 2]),
    'z': lambda: dict(z=given_z()),
}


@pytest.mark.parametrize('source', SOURCES.values(), ids=SOURCES)
def test_gradients_are_those_without_checkpointing(source):
    net, source = network(), source()
    output, expected = gradients(net, None, source)
    again, ours = gradients(net, CHECKPOINT, source)
    assert torch.equal(again, output)
    for name, gradient in expected.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-10, atol=1e-12)


def test_sharing_alone():
    conv = nn.Conv2d(6, 2, 3).double()
    x = torch.rand(N, 3, 6, 6, dtype=torch.double)
    images = torch.rand(N * K, 3, 6, 6, dtype=torch.double, requires_grad=True)

    def judge(images):
        return conv(torch.cat([x, images], 1)).square()

    with SharedForward(N, K):
        logits = checkpoint(judge, images, **CHECKPOINT)
    (ours,) = torch.autograd.grad(logits.sum(), images)
    repeated = torch.cat([x.repeat_interleave(K, 0), images], 1)
    (expected,) = torch.autograd.grad(conv(repeated).square().sum(), images)
    torch.testing.assert_close(ours, expected)
