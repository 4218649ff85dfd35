"""The regularizer of rcGAN: what it prefers, in closed form."""

import math

import pytest
import torch
from helpers.formulas import draw, preferred_scale

from mmagic_mr.errors import UserError
from mmagic_mr.functional import rcgan


@pytest.mark.parametrize('num_samples', [2, 5])
@pytest.mark.parametrize('estimator', ['paper', 'released'])
def test_it_is_the_formula(num_samples, estimator):
    K = num_samples
    samples, target = draw(2, K, 3, 4, 5), draw(2, 3, 4, 5)
    mean = samples.mean(1)
    spread = samples.std(1)
    if estimator == 'paper':
        spread = sum((samples[:, k] - mean).abs() for k in range(K))
        spread *= math.sqrt(math.pi / (2 * K * (K - 1)))
    factor = 0.7 * math.sqrt(2 / (math.pi * K * (K + 1)))
    expected = (target - mean).abs() - factor * spread
    torch.testing.assert_close(rcgan(samples, target, 0.7, estimator), expected)


@pytest.mark.parametrize('num_samples', [2, 4, 8])
def test_the_papers_spread_is_that_of_gaussian_samples(num_samples):
    K = num_samples
    samples, target = (
        3 * torch.randn(1, K, 1, 1, 200_000),
        torch.zeros(1, 1, 1, 200_000),
    )
    reward = rcgan(samples, target, 0.0) - rcgan(samples, target, 1.0)
    spread = reward.mean().item() / math.sqrt(2 / (math.pi * K * (K + 1)))
    assert spread == pytest.approx(3, rel=0.01)


def preferred_std(num_samples, estimator, target, unit=1.0):
    base = unit * torch.randn(1, num_samples, 1, 1, target.shape[-1])

    def expected_loss(scale):
        return rcgan(base * scale, target, 1.0, estimator).mean()

    return unit * preferred_scale(expected_loss, 'gradient')


@pytest.mark.parametrize('num_samples', [2, 4, 8])
@pytest.mark.parametrize('estimator', ['paper', 'released'])
def test_variance_preferred_for_gaussian_data(num_samples, estimator):
    K, expected = num_samples, 1.0
    if estimator == 'released':
        c4 = math.sqrt(2 / (K - 1)) * math.gamma(K / 2) / math.gamma((K - 1) / 2)
        expected = c4**2 * K / (K + 1 - c4**2)
        assert expected == pytest.approx({2: 0.54, 4: 0.82, 8: 0.92}[K], abs=0.008)
    found = preferred_std(K, estimator, torch.randn(1, 1, 1, 250_000)) ** 2
    assert found == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize(('num_samples', 'stated'), [(2, 1.35), (8, 1.91)])
def test_of_data_that_are_not_gaussian_it_prefers_another_spread(num_samples, stated):
    target = torch.randn(1, 1, 1, 250_000).sign()  # of standard deviation 1
    found = preferred_std(num_samples, 'paper', target, unit=1.5)
    expected = math.sqrt(num_samples / math.log(num_samples + 1))
    assert found == pytest.approx(expected, abs=0.04)
    assert expected == pytest.approx(stated, abs=0.005)


@pytest.mark.parametrize('estimator', ['paper', 'released'])
def test_gradcheck(estimator):
    inputs = draw(1, 4, 1, 2, 3).requires_grad_(), draw(1, 1, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, y: rcgan(s, y, 0.7, estimator), inputs)


@pytest.mark.parametrize('estimator', ['paper', 'released'])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_gradients_are_finite_at_collapse(estimator, dtype):
    samples = torch.randn(2, 1, 3, 4, 4).expand(-1, 4, -1, -1, -1).to(dtype)
    samples = samples.clone().requires_grad_()
    loss = rcgan(samples, torch.randn(2, 3, 4, 4), 1.0, estimator)
    assert loss.dtype == torch.float32
    loss.mean().backward()
    assert samples.grad.isfinite().all()
    assert samples.grad.any()


@pytest.mark.parametrize('estimator', ['paper', 'released'])
def test_order_and_units(estimator):
    samples, target = draw(2, 5, 3, 6, 6), draw(2, 3, 6, 6)
    loss = rcgan(samples, target, 1.0, estimator)
    shuffled = rcgan(samples[:, torch.randperm(5)], target, 1.0, estimator)
    torch.testing.assert_close(shuffled, loss)
    scaled = rcgan(3 * samples + 2, 3 * target + 2, 1.0, estimator)
    torch.testing.assert_close(scaled, 3 * loss)


def test_bad_input_is_refused():
    samples, target = draw(2, 4, 3, 4, 5), draw(2, 3, 4, 5)
    with pytest.raises(UserError, match="estimator must be one of 'paper', 'released'"):
        rcgan(samples, target, 1.0, 'unbiased')
    with pytest.raises(UserError, match=r'at least K = 2 .*got K = 1'):
        rcgan(samples[:, :1], target)
