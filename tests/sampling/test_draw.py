"""One call of a generator: N inputs to N*K samples."""

import threading

import pytest
import torch
from torch import nn

from mmagic_mr.errors import UserError
from mmagic_mr.sampling import NOISE_TYPES, add_noise_sites, draw_noise, sampling

N, K = 2, 3


class Branching(nn.Module):
    """A noise site in a branch that may be switched off."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Conv2d(3, 4, 3, padding=1)
        self.branch = nn.Conv2d(4, 4, 3, padding=1)
        self.noisy = True

    def forward(self, x):
        h = self.trunk(x)
        return h + self.branch(h) if self.noisy else h


@pytest.fixture
def net():
    net = Branching()
    add_noise_sites(net, dict(sites={'branch': 2}))
    return net


def in_a_thread(function, x):
    result = []
    thread = threading.Thread(target=lambda: result.append(function(x)))
    thread.start()
    thread.join()
    return result[0]


def test_a_branch_that_is_not_taken_gives_no_samples(net):
    net.noisy = False
    x = torch.rand(N, 3, 8, 8)
    with sampling(N, K) as drawing:
        output = net(x)
        with pytest.raises(UserError, match='no noise site was reached'):
            drawing.samples(output)


def test_another_thread_gives_no_samples(net):
    x = torch.rand(N, 3, 8, 8)
    with sampling(N, K) as drawing:
        output = in_a_thread(net, x)
        with pytest.raises(UserError, match=r'another thread'):
            drawing.samples(output)


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


@pytest.mark.parametrize('noise_type', NOISE_TYPES)
def test_seeded_noise_is_pinned(net, noise_type):
    # Samples of a seed stay what they are: published numbers rest on them.
    net.branch.noise.noise_type = noise_type
    kept = {}
    with sampling(N, K, seeds=[5, 6], keep=kept):
        net(torch.rand(N, 3, 8, 8))
    own = [
        draw_noise(noise_type, (K, 2, 8, 8), torch.Generator().manual_seed(seed))
        for seed in (5, 6)
    ]
    assert torch.equal(kept['branch'], torch.stack(own))


def test_fresh_noise_is_that_of_the_default_generator(net):
    kept, x = {}, torch.rand(N, 3, 8, 8)
    torch.manual_seed(5)
    with sampling(N, K, keep=kept):
        net(x)
    torch.manual_seed(5)
    assert torch.equal(kept['branch'], torch.randn(N, K, 2, 8, 8))


def test_outside_of_a_context_each_row_is_a_sample(net):
    x = torch.rand(1, 3, 8, 8).repeat(4, 1, 1, 1)
    torch.manual_seed(5)
    output = net(x)
    assert output.shape == (4, 4, 8, 8)
    assert (output[0] - output[1]).abs().max() > 1e-3
    torch.manual_seed(5)
    with sampling(4, 1) as drawing:
        assert torch.equal(drawing.samples(net(x))[:, 0], output)


@pytest.mark.parametrize('source', [dict(seeds=[5, 6]), dict(z=torch.zeros(()))])
def test_without_sharing_the_samples_are_the_same(net, source):
    net.double()
    x = torch.rand(N, 3, 8, 8, dtype=torch.double)
    if 'z' in source:
        source = dict(z=dict(branch=torch.rand(N, K, 2, 8, 8)))
    results, kept = [], []
    for share in True, False:
        kept.append({})
        with sampling(N, K, share=share, keep=kept[-1], **source) as drawing:
            entered = drawing.enter(x)
            assert (entered is x) == share
            samples = drawing.samples(net(entered))
        assert samples.shape == (N, K, 4, 8, 8)
        grads = torch.autograd.grad(samples.square().sum(), list(net.parameters()))
        results.append((samples, *grads))
    assert torch.equal(kept[0]['branch'], kept[1]['branch'])
    for shared, repeated in zip(*results, strict=True):
        torch.testing.assert_close(shared, repeated, rtol=1e-10, atol=1e-10)


def test_without_sharing_no_function_mode_acts(net):
    # A statement that sharing would refuse.
    skip, h = torch.ones(N, 1, 2, 2), torch.ones(N * K, 1, 2, 2)
    with sampling(N, K, share=False), pytest.raises(RuntimeError, match='size'):
        skip + h
    with sampling(N, K):
        assert (skip + h).shape == h.shape


def test_enter_takes_any_tensor_of_the_inputs_rows():
    mask = torch.tensor([True, False])
    with sampling(N, K, share=False) as drawing:
        assert drawing.enter(mask).tolist() == [True] * K + [False] * K
        with pytest.raises(UserError, match=r'3 rows .* opened for 2'):
            drawing.enter(torch.ones(3, 1))


def test_input_that_did_not_enter(net):
    with (
        sampling(N, K, share=False),
        pytest.raises(UserError, match=r"site 'branch' has 2 rows .* drawing\.enter"),
    ):
        net(torch.rand(N, 3, 8, 8))


def test_samples_of_something_else(net):
    with sampling(N, K) as drawing:
        output = net(torch.rand(N, 3, 8, 8))
    with pytest.raises(UserError, match='got tuple'):
        drawing.samples((output,))
    with pytest.raises(UserError, match='5 rows belongs neither'):
        drawing.samples(output[:5])


def test_samples_of_a_put_off_concatenation(net):
    with sampling(N, K, seeds=[1, 2]) as drawing:
        x = torch.rand(N, 3, 8, 8)
        samples = drawing.samples(torch.cat([x, net(x)], 1))
    assert samples.shape == (N, K, 7, 8, 8)
    assert torch.equal(samples[:, 1, :3], x)


def test_one_sample_of_a_network_without_noise():
    net, x = nn.Conv2d(3, 2, 3), torch.rand(N, 3, 8, 8)
    with sampling(N, 1, seeds=[1, 2]) as drawing:
        assert torch.equal(drawing.samples(net(x))[:, 0], net(x))


def test_z_that_is_not_used(net):
    net.noisy = False
    with sampling(N, 1, z=dict(branch=torch.zeros(N, 1, 2, 8, 8))) as drawing:
        output = net(torch.rand(N, 3, 8, 8))
    with pytest.raises(UserError, match='no noise site was reached'):
        drawing.samples(output)


def test_an_error_leaves_the_context(net):
    with pytest.raises(UserError, match='lacks'), sampling(N, K, z={}):
        net(torch.rand(N, 3, 8, 8))
    assert net(torch.rand(5, 3, 8, 8)).shape == (5, 4, 8, 8)


def test_bad_z(net):
    x = torch.rand(N, 3, 8, 8)
    with pytest.raises(UserError, match='lacks the noise site'), sampling(N, 1, z={}):
        net(x)
    z = dict(branch=torch.zeros(N, 3, 2, 8, 8))
    with pytest.raises(UserError, match=r'shape \(2, 3, 2, 8'), sampling(N, 1, z=z):
        net(x)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(num_inputs=0), 'num_inputs must be at least 1, got 0'),
        (dict(num_samples=0), 'num_samples must be at least 1, got 0'),
        (dict(seeds=[1]), '1 seeds for 2 inputs'),
        (dict(seeds=[1, 2], z={}), 'z or seeds, not both'),
    ],
)
def test_bad_arguments(kwargs, message):
    with (
        pytest.raises(UserError, match=message),
        sampling(**dict(num_inputs=N, num_samples=K) | kwargs),
    ):
        pass
