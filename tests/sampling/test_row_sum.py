"""What `add` of rows per input and rows per sample does by itself."""

import pytest
import torch

from mmagic_mr.sampling.sharing import SharedForward


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('first', ['inputs', 'samples'])
def test_values_and_gradients_are_those_of_repeated_rows(layout, first):
    made = torch.Generator().manual_seed(0)
    inputs, samples, weights = (
        torch.rand(n, 3, 4, 5, generator=made, dtype=torch.float64)
        .contiguous(memory_format=layout)
        .requires_grad_()
        for n in (2, 6, 6)
    )
    with SharedForward(2, 3):
        total = inputs + samples if first == 'inputs' else samples + inputs
    plain = inputs.repeat_interleave(3, 0) + samples
    assert torch.equal(total, plain)
    assert total.is_contiguous(memory_format=layout)
    leaves = (inputs, samples)
    found, expected = (
        torch.autograd.grad((t.square() * weights).sum(), leaves, create_graph=True)
        for t in (total, plain)
    )
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)
        for second, other in zip(
            torch.autograd.grad(a.square().sum(), leaves, retain_graph=True),
            torch.autograd.grad(b.square().sum(), leaves, retain_graph=True),
            strict=True,
        ):
            torch.testing.assert_close(second, other)


def test_an_activation_in_place_copies_no_gradient():
    inputs = torch.rand(2, 3, 4, 4, requires_grad=True)
    with SharedForward(2, 3):
        total = inputs + torch.rand(6, 3, 4, 4)
        torch.nn.functional.leaky_relu(total, 0.2, inplace=True)
    assert 'CopySlices' not in type(total.grad_fn).__name__
    assert not total._is_view()
