"""Mean and variance of the samples against torch's own."""

import pytest
import torch
from helpers.formulas import draw
from helpers.memory import saved_bytes

from mmagic_mr.functional.variance import mean_and_variance


@pytest.mark.parametrize('num_samples', [2, 3, 10])
def test_they_are_those_of_torch_with_their_gradients(num_samples):
    samples = draw(2, num_samples, 3, 4, 5).requires_grad_()
    weights = draw(2, 3, 4, 5), draw(2, 3, 4, 5)
    found = mean_and_variance(samples)
    expected = samples.mean(1), samples.var(1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    grads = [torch.autograd.grad(x, samples, weights)[0] for x in (found, expected)]
    torch.testing.assert_close(*grads, rtol=0, atol=1e-14)


def test_derivatives_of_both_orders():
    samples = draw(1, 4, 1, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(mean_and_variance, samples)
    assert torch.autograd.gradgradcheck(mean_and_variance, samples)


def test_a_distant_origin_costs_no_precision():
    samples = torch.randn(2, 7, 3, 4, 5) + 1000
    expected = samples.double().var(1).float()
    torch.testing.assert_close(
        mean_and_variance(samples)[1], expected, rtol=1e-4, atol=1e-6
    )


def test_the_samples_and_an_image_are_kept():
    samples = torch.randn(2, 10, 3, 16, 16, requires_grad=True)
    with saved_bytes() as sizes:
        mean_and_variance(samples)
    assert sum(sizes) == (samples.numel() + samples[:, 0].numel()) * 4
