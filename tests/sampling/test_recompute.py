"""Activation checkpointing: what is computed again in the backward pass is the same."""

import threading

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmagic_mr.sampling import SharedForward, add_noise_sites, sampling
from mmagic_mr.sampling.recompute import active_contexts

N, K = 2, 3
KINDS = [dict(use_reentrant=False), dict(use_reentrant=True)]


class Block(nn.Module):
    """Two noise sites, dropout and a skip connection, by sum and by concatenation."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x):
        h = torch.tanh(self.first(x))
        h = nn.functional.dropout(self.second(h), 0.3, self.training)
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
    x = torch.rand(N, 3, 6, 6, dtype=torch.double, requires_grad=True)
    with sampling(N, K, **source, **kwargs) as drawing:
        output = net(drawing.enter(x))
    with sampling(N, K, seeds=[5, 6], **kwargs) as drawing:
        net(drawing.enter(x))
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


def check_gradients(net, checkpointing, source, **kwargs):
    output, expected = gradients(net, None, source, **kwargs)
    again, ours = gradients(net, checkpointing, source, **kwargs)
    assert torch.equal(again, output)
    for name, gradient in expected.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('share', [True, False])
@pytest.mark.parametrize('checkpointing', KINDS, ids=str)
@pytest.mark.parametrize('source', SOURCES.values(), ids=SOURCES)
def test_gradients_are_those_without_checkpointing(source, checkpointing, share):
    check_gradients(network(), checkpointing, source(), share=share)


@pytest.mark.parametrize('checkpointing', KINDS, ids=str)
@pytest.mark.parametrize('source', SOURCES.values(), ids=SOURCES)
def test_random_state_that_is_not_kept(source, checkpointing):
    # Of no use for dropout, but the noise is remembered.
    net = network().eval()
    check_gradients(net, dict(preserve_rng_state=False, **checkpointing), source())


@pytest.mark.parametrize('source', SOURCES.values(), ids=SOURCES)
def test_checkpoints_in_checkpoints(source):
    class Nested(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            if self.net.checkpointing is None:
                return self.net(x)
            return checkpoint(self.net, x, **self.net.checkpointing)

        @property
        def checkpointing(self):
            return self.net.checkpointing

        @checkpointing.setter
        def checkpointing(self, value):
            self.net.checkpointing = value

    check_gradients(Nested(network()), KINDS[0], source())


@pytest.mark.parametrize('checkpointing', KINDS, ids=str)
def test_backward_inside_the_context(checkpointing):
    # The recomputation draws nothing: what comes after it is as without.
    results = []
    x = torch.rand(N, 3, 6, 6, dtype=torch.double, requires_grad=True)
    net = network().eval()
    for net.checkpointing in None, checkpointing:
        net.zero_grad()
        with sampling(N, K, seeds=[1, 2]):
            net(x).square().sum().backward()
            second = net(x)
        results.append([second, *(p.grad.clone() for p in net.parameters())])
    for plain, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('source', SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize('checkpointing', KINDS, ids=str)
def test_backward_in_another_thread(checkpointing, source, monkeypatch):
    # Where it runs on a GPU.
    backward = torch.Tensor.backward

    def elsewhere(loss):
        thread = threading.Thread(target=backward, args=(loss,))
        thread.start()
        thread.join()

    monkeypatch.setattr(torch.Tensor, 'backward', elsewhere)
    check_gradients(network(), checkpointing, source())


@pytest.mark.parametrize('checkpointing', KINDS, ids=str)
def test_a_put_off_concatenation_enters_a_checkpoint(checkpointing):
    conv = nn.Conv2d(6, 2, 3).double()
    x, images = (
        torch.rand(rows, 3, 6, 6, dtype=torch.double, requires_grad=True)
        for rows in (N, N * K)
    )

    def judge(pair):
        return conv(pair).square()

    grads = []
    with SharedForward(N, K):
        logits = checkpoint(judge, torch.cat([x, images], 1), **checkpointing)
    logits.sum().backward()
    grads.append([x.grad, images.grad])
    x.grad = images.grad = None
    judge(torch.cat([x.repeat_interleave(K, 0), images], 1)).sum().backward()
    grads.append([x.grad, images.grad])
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize('checkpointing', KINDS, ids=str)
def test_sharing_alone(checkpointing):
    conv = nn.Conv2d(6, 2, 3).double()
    x = torch.rand(N, 3, 6, 6, dtype=torch.double)
    images = torch.rand(N * K, 3, 6, 6, dtype=torch.double, requires_grad=True)

    def judge(images):
        return conv(torch.cat([x, images], 1)).square()

    with SharedForward(N, K):
        logits = checkpoint(judge, images, **checkpointing)
    logits.sum().backward()
    repeated = torch.cat([x.repeat_interleave(K, 0), images], 1)
    (expected,) = torch.autograd.grad(conv(repeated).square().sum(), images)
    torch.testing.assert_close(images.grad, expected)


@pytest.mark.parametrize('checkpointing', KINDS, ids=str)
def test_no_context_is_left_behind(checkpointing):
    net = network()
    gradients(net, checkpointing, {})
    assert active_contexts() == ()
    assert net(torch.rand(5, 3, 6, 6, dtype=torch.double)).shape == (5, 4, 6, 6)


@pytest.mark.parametrize('checkpointing', KINDS, ids=str)
def test_a_failing_part_leaves_the_context(checkpointing):
    def fail(x):
        raise KeyError('broken')

    x = torch.rand(N, 3, requires_grad=True)
    with sampling(N, K), pytest.raises(KeyError, match='broken'):
        checkpoint(fail, x, **checkpointing)
    assert active_contexts() == ()


@pytest.mark.parametrize('checkpointing', KINDS, ids=str)
def test_checkpoints_outside_of_a_context_are_pytorchs(checkpointing):
    with sampling(N, K):
        pass
    x = torch.rand(4, 3, dtype=torch.double, requires_grad=True)
    checkpoint(torch.sin, x, **checkpointing).sum().backward()
    torch.testing.assert_close(x.grad, x.detach().cos())
