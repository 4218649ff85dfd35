"""Gradients: checked numerically, finite, and those that are chosen."""

import itertools

import numpy as np
import pytest
import torch
from helpers.formulas import all_variants, draw, evaluate

from mmagic_mr.functional import (
    SAMPLE_VARIANCE_FLOOR,
    mr_loss,
    nll,
    sample_moments,
)


@pytest.mark.parametrize('num_samples', [4, 5])
@pytest.mark.parametrize('estimator', ['paper', 'unbiased'])
def test_gradcheck(num_samples, estimator):
    samples = draw(1, num_samples, 1, 2, 2).requires_grad_()
    for kind, order in itertools.product(('mr', 'proxy'), (1, 2)):
        assert torch.autograd.gradcheck(
            lambda s, k=kind, o=order: evaluate(k, s, 'gaussian', o, estimator),
            samples,
        )
    assert torch.autograd.gradcheck(
        lambda s: sample_moments(s, 'laplace', estimator).dispersion, samples
    )


@pytest.mark.parametrize('distribution', ['gaussian', 'laplace'])
@pytest.mark.parametrize('order', [1, 2])
def test_gradcheck_of_nll(distribution, order):
    inputs = [draw(1, 2, 2, 2).requires_grad_() for _ in range(3)]
    assert torch.autograd.gradcheck(lambda *x: nll(*x, distribution, order), inputs)


@pytest.mark.parametrize('num_samples', [4, 5, 10])
@pytest.mark.parametrize('estimator', ['paper', 'unbiased'])
def test_gradient_of_the_median_is_spread_evenly(num_samples, estimator):
    samples = draw(2, num_samples, 3, 4, 5).requires_grad_()
    center, _ = sample_moments(samples, 'laplace', estimator)
    weight = torch.randn_like(center)
    (grad,) = torch.autograd.grad((center * weight).sum(), samples)
    expected = (weight / num_samples).unsqueeze(1).expand_as(grad)
    torch.testing.assert_close(grad, expected, rtol=0, atol=1e-15)


def test_gradient_of_laplace_mr_1():
    samples, target = draw(2, 10, 3, 4, 5).requires_grad_(), draw(2, 3, 4, 5)
    mr_loss(samples, target, 'laplace', 1).sum().backward()
    sign = (samples.detach().median(1).values - target).sign()
    torch.testing.assert_close(
        samples.grad, (sign / 10).unsqueeze(1).expand_as(samples)
    )


@all_variants
@pytest.mark.parametrize('noise', [0.0, 1e-3])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_gradients_are_finite_for_collapsed_samples(
    kind, distribution, order, estimator, noise, dtype
):
    samples = torch.full((2, 6, 3, 16, 16), 0.3) + noise * torch.randn(6, 1, 1, 1)
    samples = samples.to(dtype).requires_grad_()
    loss = evaluate(kind, samples, distribution, order, estimator)
    assert loss.isfinite().all()
    loss.mean().backward()
    assert samples.grad.isfinite().all()


@pytest.mark.parametrize('distribution', ['gaussian', 'laplace'])
@pytest.mark.parametrize('estimator', ['paper', 'unbiased'])
def test_nearly_collapsed_samples_are_pushed_apart(distribution, estimator):
    offset = torch.tensor([-2.0, -1.0, 1.0, 2.0]).reshape(1, 4, 1, 1, 1) * 1e-4
    assert offset.var() < SAMPLE_VARIANCE_FLOOR
    samples = offset.clone().requires_grad_()
    target = torch.full((1, 1, 1, 1), 0.5)
    mr_loss(samples, target, distribution, 2, estimator).sum().backward()
    spread = (samples.grad - samples.grad.mean()) * offset
    assert (spread < 0).all()  # descent moves each away from the center


def test_the_floor_changes_nothing_above_it():
    samples = torch.tensor([-1.0, 1.0]).reshape(1, 2, 1, 1, 1).double() * 3e-3
    assert samples.var() > SAMPLE_VARIANCE_FLOOR
    target = torch.full((1, 1, 1, 1), 0.01, dtype=torch.float64)
    expected = 1e-4 / 2 / 18e-6 + np.log(18e-6) / 2
    assert mr_loss(samples, target, 'gaussian').item() == pytest.approx(
        expected, rel=1e-12
    )
    assert torch.autograd.gradcheck(
        lambda s: mr_loss(s, target, 'gaussian'), samples.requires_grad_(), eps=1e-8
    )


def test_nll_stays_finite_for_constant_data():
    center = torch.zeros(1, 1, 1, 1)
    for distribution in ('gaussian', 'laplace'):
        log_dispersion = torch.full_like(center, -200.0).requires_grad_()
        loss = nll(center, log_dispersion, center, distribution)
        assert loss.item() == pytest.approx(np.log(1e-9) / 2)  # 2 log b = log v
        nll(center, log_dispersion, center + 1, distribution).backward()
        assert log_dispersion.grad.isfinite().all()
        assert log_dispersion.grad.item() < 0  # the dispersion grows again


@all_variants
def test_low_precision_is_computed_in_float32(kind, distribution, order, estimator):
    args = distribution, order, estimator
    samples = draw(2, 6, 3, 4, 5, dtype=torch.bfloat16)
    expected = evaluate(kind, samples.float(), *args)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        for half in (torch.bfloat16, torch.float32):
            loss = evaluate(kind, samples.to(half).float(), *args)
            assert loss.dtype == torch.float32
            assert torch.equal(loss, expected)
        moments = sample_moments(samples, distribution, estimator)
    for moment, full in zip(
        moments, sample_moments(samples.float(), distribution, estimator), strict=True
    ):
        assert moment.dtype == torch.float32
        assert torch.equal(moment, full)
    assert evaluate(kind, samples, *args).dtype == torch.float32
    assert evaluate(kind, samples.double(), *args).dtype == torch.float64
