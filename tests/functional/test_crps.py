"""The CRPS against another library, closed forms and what it must not depend on."""

import itertools

import numpy as np
import pytest
import scoringrules
import torch
from helpers.formulas import draw, preferred_scale
from helpers.memory import saved_bytes

from mmagic_mr.errors import UserError
from mmagic_mr.functional import crps, ranks


def by_pairs(samples, target, alpha=1.0):
    """The definition, with all pairs in memory."""
    k = samples.shape[1]
    factor = (1 - (1 - alpha) / k) / (2 * k * (k - 1))
    pairs = (samples.unsqueeze(1) - samples.unsqueeze(2)).abs().sum((1, 2))
    return (samples - target.unsqueeze(1)).abs().mean(1) - factor * pairs


@pytest.mark.parametrize('num_samples', [2, 3, 10])
def test_it_equals_scoringrules(num_samples):
    samples, target = draw(2, num_samples, 3, 4, 5), draw(2, 3, 4, 5)
    for alpha, estimator in ((1.0, 'fair'), (0.0, 'nrg')):
        expected = scoringrules.crps_ensemble(
            target.numpy(),
            samples.numpy(),
            m_axis=1,
            estimator=estimator,
            backend='numpy',
        )
        np.testing.assert_allclose(crps(samples, target, alpha), expected, atol=1e-12)


@pytest.mark.parametrize('alpha', [0.0, 0.95, 1.0])
def test_equal_samples_and_targets_are_no_exception(alpha):
    samples = torch.randint(3, (2, 7, 3, 4, 5)).double().requires_grad_()
    target = torch.randint(3, (2, 3, 4, 5)).double()
    loss, expected = (f(samples, target, alpha) for f in (crps, by_pairs))
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)
    gradients = [torch.autograd.grad(x.sum(), samples)[0] for x in (loss, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


@pytest.mark.parametrize('num_samples', [2, 5, 10])
@pytest.mark.parametrize('alpha', [0.0, 0.95, 1.0])
def test_gradient_is_the_closed_form_by_rank(num_samples, alpha):
    K = num_samples
    samples, target = draw(2, K, 3, 4, 5).requires_grad_(), draw(2, 3, 4, 5)
    (grad,) = torch.autograd.grad(crps(samples, target, alpha).sum(), samples)
    s = samples.detach()
    rank = s.argsort(1).argsort(1).double()
    pull = (s - target.unsqueeze(1)).sign() / K
    push = (1 - (1 - alpha) / K) * (2 * rank - (K - 1)) / (K * (K - 1))
    torch.testing.assert_close(grad, pull - push, rtol=0, atol=1e-14)


def test_gradcheck():
    samples, target = draw(1, 5, 2, 3, 3), draw(1, 2, 3, 3)
    inputs = samples.requires_grad_(), target.requires_grad_()
    for alpha in (1.0, 0.5):
        assert torch.autograd.gradcheck(lambda s, y, a=alpha: crps(s, y, a), inputs)


def test_the_order_of_the_samples_does_not_matter():
    samples, target = draw(2, 7, 3, 4, 5), draw(2, 3, 4, 5)
    loss = crps(samples, target)
    for _ in range(3):
        changed = crps(samples[:, torch.randperm(7)], target)
        torch.testing.assert_close(changed, loss, rtol=0, atol=1e-14)


def test_it_scales_and_shifts_with_the_units():
    samples, target = draw(2, 7, 3, 4, 5), draw(2, 3, 4, 5)
    changed = crps(3 * samples + 2, 3 * target + 2)
    torch.testing.assert_close(changed, 3 * crps(samples, target))


def test_a_distant_origin_costs_no_precision():
    samples, target = torch.randn(2, 7, 3, 4, 5), torch.randn(2, 3, 4, 5)
    samples, target = samples + 1000, target + 1000
    expected = crps(samples.double(), target.double())
    error = (crps(samples, target) - expected).abs().max().item()
    assert error < 1e-6


@pytest.mark.parametrize(
    ('num_samples', 'alpha', 'expected'),
    [
        *((k, 1.0, 1.0) for k in (2, 4, 10)),
        *zip((2, 4, 10), [0.95] * 3, (0.906, 0.952, 0.980), strict=True),
        *zip((2, 4, 10), [0.0] * 3, (0.143, 0.391, 0.681), strict=True),
    ],
)
def test_variance_preferred_for_gaussian_data(num_samples, alpha, expected):
    c = (num_samples - 1 + alpha) / num_samples
    assert c**2 / (2 - c**2) == pytest.approx(expected, abs=5e-4)
    base = torch.randn(1, num_samples, 1, 1, 150_000)
    target = torch.randn(1, 1, 1, 150_000)

    def expected_loss(scale):
        return crps(base * scale, target, alpha).mean()

    variance = preferred_scale(expected_loss, 'gradient', 0.2) ** 2
    assert variance == pytest.approx(expected, abs=0.03)


def test_alpha_below_1_mends_the_blind_spot_of_the_fair_score():
    # All samples but one are right: that one may be anything, at no cost.
    samples = torch.tensor([1.0, 1.0, 1.0, 9.0]).reshape(1, 4, 1, 1, 1)
    target = torch.ones(1, 1, 1, 1)
    assert crps(samples, target).item() == 0
    expected = 8 / 4 * 0.05 / 4
    assert crps(samples, target, 0.95).item() == pytest.approx(expected, rel=1e-5)


def test_low_precision_is_computed_in_float32():
    samples, target = torch.randn(2, 6, 3, 4, 5), torch.randn(2, 3, 4, 5)
    for dtype in (torch.float16, torch.bfloat16):
        half = samples.to(dtype), target.to(dtype)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            loss = crps(*half)
        assert loss.dtype == torch.float32
        assert torch.equal(loss, crps(*(values.float() for values in half)))
    assert crps(samples.double(), target.double()).dtype == torch.float64


@pytest.mark.parametrize(('num_samples', 'size'), [(2, 1), (10, 1), (127, 1), (128, 2)])
def test_two_small_integers_are_kept_of_a_sample(num_samples, size):
    shape = 2, num_samples, 3, 32, 32
    samples = torch.randn(shape, requires_grad=True)
    with saved_bytes() as sizes:
        crps(samples, torch.randn(2, 3, 32, 32))
    assert sum(sizes) == 2 * size * samples.numel()


@pytest.mark.parametrize('num_samples', [2, 3, 10, 127, 128, 300])
def test_blocks_of_any_size_give_the_same(num_samples, monkeypatch):
    shape = 3, num_samples, 3, 4, 5
    samples = torch.randint(9, shape).double().requires_grad_()
    target = torch.randint(9, (3, 3, 4, 5)).double()
    expected = by_pairs(samples, target)
    gradient = torch.autograd.grad(expected.sum(), samples)[0]
    for length in (1, 7 * num_samples, 130 * num_samples, 10**6):
        monkeypatch.setattr(ranks, 'CPU_BLOCK', length)
        score = crps(samples, target)
        torch.testing.assert_close(score, expected, rtol=0, atol=1e-12)
        found = torch.autograd.grad(score.sum(), samples)[0]
        torch.testing.assert_close(found, gradient, rtol=0, atol=1e-12)


def test_samples_stay_as_they_are():
    for shape in ((1, 4, 3, 4, 5), (2, 4, 3, 4, 5)):
        samples, target = draw(*shape), draw(shape[0], *shape[2:])
        before = samples.clone(), target.clone()
        crps(samples, target)
        assert torch.equal(samples, before[0])
        assert torch.equal(target, before[1])


def test_memory_layout_does_not_matter():
    samples, target = draw(2, 5, 3, 4, 6), draw(2, 3, 4, 6)
    weight = draw(2, 3, 4, 6)
    layouts = [
        lambda x: x,
        lambda x: x.transpose(-1, -2).contiguous().transpose(-1, -2),
        lambda x: x.transpose(0, -1).contiguous().transpose(0, -1),
        lambda x: x.repeat_interleave(2, -1)[..., ::2],
    ]
    found = []
    for layout in layouts:
        leaf, data = layout(samples).requires_grad_(), layout(target).requires_grad_()
        score = crps(leaf, data)
        grads = torch.autograd.grad(score, (leaf, data), layout(weight))
        found.append((score, *grads))
    for other in found[1:]:
        for value, expected in zip(other, found[0], strict=True):
            torch.testing.assert_close(value, expected, rtol=0, atol=1e-14)


def test_the_gradient_in_the_target_is_the_mean_sign():
    samples, target = draw(2, 5, 3, 4, 5), draw(2, 3, 4, 5).requires_grad_()
    weight = draw(2, 3, 4, 5)
    (grad,) = torch.autograd.grad(crps(samples, target, 0.5), target, weight)
    expected = (target.unsqueeze(1) - samples).sign().mean(1) * weight
    torch.testing.assert_close(grad, expected, rtol=0, atol=1e-14)


def test_a_second_derivative_is_refused():
    samples, target = draw(1, 5, 2, 3, 3).requires_grad_(), draw(1, 2, 3, 3)
    loss = crps(samples, target).square().sum()
    (grad,) = torch.autograd.grad(loss, samples, create_graph=True)
    with pytest.raises(RuntimeError, match='once_differentiable'):
        grad.sum().backward()


def test_a_compiled_caller_gets_the_same():
    samples, target = draw(1, 5, 2, 3, 3).requires_grad_(), draw(1, 2, 3, 3)

    def loss(samples, target):
        return 2 * crps(samples.tanh(), target).mean()

    expected = loss(samples, target)
    found = torch.compile(loss, backend='eager')(samples, target)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    grads = [torch.autograd.grad(x, samples)[0] for x in (found, expected)]
    torch.testing.assert_close(*grads, rtol=0, atol=0)


def test_bad_input_is_refused():
    samples, target = draw(2, 4, 3, 4, 5), draw(2, 3, 4, 5)
    for alpha in (-0.1, 1.1, float('nan'), 'fair'):
        with pytest.raises(UserError, match=f'alpha must be .*got {alpha!r}'):
            crps(samples, target, alpha)
    with pytest.raises(UserError, match=r'at least K = 2 .*got K = 1'):
        crps(samples[:, :1], target)
    with pytest.raises(UserError, match=r'\(N, K, C, H, W\)'):
        crps(target, target)
    with pytest.raises(UserError, match=r'target .*got \(2, 1, 4, 5\)'):
        crps(samples, target[:, :1])


def test_by_hand():
    # |s - y| = 1, 1, 4; pairs 2, 5, 3; 6/3 - 10/6
    samples = torch.tensor([0.0, 2.0, 5.0])
    target = torch.ones(1, 1, 1, 1)
    for order in itertools.permutations(range(3)):
        loss = crps(samples[list(order)].reshape(1, 3, 1, 1, 1), target)
        assert loss.item() == pytest.approx(1 / 3, abs=1e-6)
