"""One call of a generator: N inputs to N*K samples."""

import threading

import pytest
import torch
from torch import nn

from mmagic_mr.errors import UserError
from mmagic_mr.sampling import add_noise_sites, sampling

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
        with pytest.raises(UserError, match=r"none of the noise sites .*'branch'"):
            drawing.samples(output)


def test_another_thread_gives_no_samples(net):
    x = torch.rand(N, 3, 8, 8)
    with sampling(N, K) as drawing:
        output = in_a_thread(net, x)
        with pytest.raises(UserError, match=r'another thread'):
            drawing.samples(output)
