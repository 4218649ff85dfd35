import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from torch.distributions import Exponential, Laplace, Normal

from mmagic_mr._laplace import _integral, laplace_constants
from mmagic_mr.functional import (
    SAMPLE_VARIANCE_FLOOR,
    Moments,
    masked_mean,
    mr_loss,
    nll,
    proxy_mr_loss,
    sample_moments,
    variance_of,
)

ALL = list(
    itertools.product(
        ('mr', 'proxy'), ('gaussian', 'laplace'), (1, 2), ('paper', 'unbiased')
    )
)
all_variants = pytest.mark.parametrize(
    ('kind', 'distribution', 'order', 'estimator'), ALL
)


def draw(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype)


def evaluate(kind, samples, distribution, order, estimator, scale=1.0, shift=0.0):
    """Loss for a fixed target (or fixed predicted moments), scaled and shifted."""
    shape = (samples.shape[0], *samples.shape[2:])
    generator = torch.Generator().manual_seed(1)
    target = torch.randn(shape, generator=generator, dtype=samples.dtype)
    target = target * scale + shift
    if kind == 'mr':
        return mr_loss(samples, target, distribution, order, estimator)
    dispersion = torch.rand(shape, generator=generator, dtype=samples.dtype) + 0.5
    dispersion = dispersion * scale ** (2 if distribution == 'gaussian' else 1)
    target = Moments(target, dispersion)
    return proxy_mr_loss(samples, target, distribution, order, estimator)


# Moments ------------------------------------------------------------------------------


@pytest.mark.parametrize('num_samples', [2, 5, 10])
def test_gaussian_moments(num_samples):
    samples = draw(2, num_samples, 3, 4, 5)
    for estimator in ('paper', 'unbiased'):
        mean, var = sample_moments(samples, 'gaussian', estimator)
        np.testing.assert_allclose(mean, samples.numpy().mean(1), atol=1e-12)
        np.testing.assert_allclose(var, samples.numpy().var(1, ddof=1), atol=1e-12)


@pytest.mark.parametrize('num_samples', [2, 5, 10])
def test_laplace_moments(num_samples):
    samples = draw(2, num_samples, 3, 4, 5)
    array = samples.numpy()
    lower = np.sort(array, 1)[:, (num_samples - 1) // 2]
    median, mad = sample_moments(samples, 'laplace')
    np.testing.assert_array_equal(median, lower)
    np.testing.assert_allclose(mad, np.abs(array - lower[:, None]).mean(1), atol=1e-12)

    middle = np.median(array, 1)
    median, mad = sample_moments(samples, 'laplace', 'unbiased')
    np.testing.assert_allclose(median, middle, atol=1e-12)
    expected = np.abs(array - middle[:, None]).mean(1)
    expected /= laplace_constants(num_samples).mad
    np.testing.assert_allclose(mad, expected, atol=1e-12)


@pytest.mark.parametrize('distribution', ['gaussian', 'laplace'])
@pytest.mark.parametrize('estimator', ['paper', 'unbiased'])
def test_one_sample_has_a_center_and_no_dispersion(distribution, estimator):
    samples = draw(2, 1, 3, 4, 5)
    center, dispersion = sample_moments(samples, distribution, estimator)
    assert torch.equal(center, samples[:, 0])
    assert dispersion.isnan().all()


def test_constants_by_hand():
    # E|X1 - X2| = 3/2 for two Laplace variables; the median of two is their mean.
    two = laplace_constants(2)
    assert two.mad == pytest.approx(3 / 4)
    assert two.center_penalty == pytest.approx((9 / 16, 9 / 16))
    # Three: with probability 1/4 all have one sign, and |M| is the second of three
    # exponential variables; else it is the smaller one of two.
    median_sq = 1 / 4 * ((1 / 3 + 1 / 2) ** 2 + 1 / 9 + 1 / 4) + 3 / 4 * 2 / 4
    # B is a third of the range, which has gaps of mean 1/2 and 1, or 1/2, 1 and 1.
    range_sq = 1 / 4 * (1.5**2 + 1 / 4 + 1) + 3 / 4 * (2.5**2 + 1 / 4 + 2)
    mad = (1 / 4 * 1.5 + 3 / 4 * 2.5) / 3
    three = laplace_constants(3)
    assert three.mad == pytest.approx(mad)
    assert three.center_penalty.value == pytest.approx(
        median_sq * mad**2 / (range_sq / 9)
    )
    assert three.dispersion_penalty == pytest.approx(1 - mad**2 / (range_sq / 9))


@pytest.mark.parametrize('power', [3, 9, 23])
def test_integral_of_the_constants(power):
    integral = _integral(lambda t: (1 + t / power) ** -power)
    assert integral == pytest.approx(power / (power - 1), rel=1e-7)


# Formulas -----------------------------------------------------------------------------


@pytest.mark.parametrize('min_noise', [0.0, 0.01])
def test_nll_is_the_negative_log_likelihood(min_noise):
    center, log_dispersion, target = draw(3, 2, 3, 4, 5)
    dispersion = log_dispersion.exp()

    loss = nll(center, log_dispersion, target, 'gaussian', 2, min_noise)
    expected = -Normal(center, dispersion.sqrt()).log_prob(target)
    expected = expected - np.log(2 * np.pi) / 2 + min_noise / 2 / dispersion
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-10)

    loss = nll(center, log_dispersion, target, 'laplace', 2, min_noise)
    expected = -Laplace(center, dispersion).log_prob(target)
    expected = expected - np.log(2) + min_noise / dispersion
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-10)


def test_nll_of_order_1_is_the_residual():
    center, log_dispersion, target = draw(3, 2, 3, 4, 5)
    for log_dispersion_or_none in (log_dispersion, None):
        args = center, log_dispersion_or_none, target
        torch.testing.assert_close(
            nll(*args, order=1, min_noise=1.0), (center - target) ** 2
        )
        torch.testing.assert_close(
            nll(*args, 'laplace', order=1), (center - target).abs()
        )


def test_min_noise_is_the_dispersion_of_a_perfect_predictor():
    center = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    for distribution in ('gaussian', 'laplace'):
        log_dispersion = torch.full_like(center, np.log(0.01)).requires_grad_()
        nll(center, log_dispersion, center, distribution, 2, 0.01).backward()
        assert abs(log_dispersion.grad.item()) < 1e-12


@pytest.mark.parametrize('min_noise', [0.0, 0.01])
def test_mr_of_order_2_is_the_likelihood_under_the_sample_moments(min_noise):
    samples, target = draw(2, 6, 3, 4, 5), draw(2, 3, 4, 5)
    for distribution in ('gaussian', 'laplace'):
        center, dispersion = sample_moments(samples, distribution)
        torch.testing.assert_close(
            mr_loss(samples, target, distribution, 2, min_noise=min_noise),
            nll(center, dispersion.log(), target, distribution, 2, min_noise),
        )


@pytest.mark.parametrize(
    ('distribution', 'expected'),
    [
        # samples 1, 2, 4, 9: mean 4, variance 38/3; lower median 2, deviation 10/4
        ('gaussian', (1.0, 3 / 76 + np.log(38 / 3) / 2, 4.0, 4 + (8 / 3) ** 2)),
        ('laplace', (3.0, 3 / 2.5 + np.log(2.5), 16.0, 16 + 7.5**2)),
    ],
)
def test_algorithms_1_to_8_by_hand(distribution, expected):
    samples = torch.tensor([9.0, 1.0, 4.0, 2.0]).reshape(1, 4, 1, 1, 1)
    target = torch.full((1, 1, 1, 1), 5.0)
    predicted = Moments(target + 1, target + 5)
    values = [
        mr_loss(samples, target, distribution, 1),
        mr_loss(samples, target, distribution, 2),
        proxy_mr_loss(samples, predicted, distribution, 1),
        proxy_mr_loss(samples, predicted, distribution, 2),
    ]
    assert [value.item() for value in values] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize('num_samples', [4, 6])
def test_unbiased_gaussian_proxy_is_the_average_over_all_splits_in_halves(num_samples):
    samples, predicted = draw(1, num_samples, 2, 3, 3), Moments(*draw(2, 1, 2, 3, 3))
    splits = list(itertools.combinations(range(num_samples), num_samples // 2))
    expected = 0
    for half in splits:
        rest = [index for index in range(num_samples) if index not in half]
        first = sample_moments(samples[:, list(half)])
        second = sample_moments(samples[:, rest])
        for a, b, true in zip(first, second, predicted, strict=True):
            expected = expected + (a - true) * (b - true) / len(splits)
    loss = proxy_mr_loss(samples, predicted, 'gaussian', 2, 'unbiased')
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-10)


# Gradients ----------------------------------------------------------------------------


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
    assert mr_loss(samples, target).item() == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(
        lambda s: mr_loss(s, target), samples.requires_grad_(), eps=1e-8
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


# Invariants ---------------------------------------------------------------------------


@all_variants
@pytest.mark.parametrize('num_samples', [6, 7])
def test_the_order_of_the_samples_does_not_matter(
    kind, distribution, order, estimator, num_samples
):
    samples = draw(2, num_samples, 3, 4, 5)
    args = distribution, order, estimator
    torch.testing.assert_close(
        evaluate(kind, samples[:, torch.randperm(num_samples)], *args),
        evaluate(kind, samples, *args),
    )


@all_variants
def test_scaling_and_shifting(kind, distribution, order, estimator):
    samples = draw(2, 6, 3, 4, 5)
    args = distribution, order, estimator
    loss = evaluate(kind, samples, *args)
    scaled = evaluate(kind, 3 * samples + 2, *args, scale=3, shift=2)
    degree = 1 if kind == 'mr' and distribution == 'laplace' else 2
    if order == 1:
        expected = 3**degree * loss
    elif kind == 'mr':
        expected = loss + np.log(3)
    else:
        first = evaluate(kind, samples, distribution, 1, estimator)
        degree = 4 if distribution == 'gaussian' else 2
        expected = 9 * first + 3**degree * (loss - first)
    torch.testing.assert_close(scaled, expected)


def test_min_noise_scales_as_the_dispersion():
    samples, target = draw(2, 6, 3, 4, 5), draw(2, 3, 4, 5)
    for distribution, degree in (('gaussian', 2), ('laplace', 1)):
        for estimator in ('paper', 'unbiased'):
            args = distribution, 2, estimator
            torch.testing.assert_close(
                mr_loss(3 * samples, 3 * target, *args, 0.01 * 3**degree),
                mr_loss(samples, target, *args, 0.01) + np.log(3),
            )


@pytest.mark.parametrize('dtype', [torch.bool, torch.uint8, torch.float32])
def test_masked_mean_counts_the_masked_elements_only(dtype):
    values = draw(2, 3, 4, 5)
    assert masked_mean(values).item() == pytest.approx(values.numpy().mean())
    mask = torch.rand(2, 1, 4, 5) < 0.5
    chosen = values.numpy()[mask.expand_as(values).numpy()]
    mean = masked_mean(values, mask.to(dtype))
    assert mean.item() == pytest.approx(chosen.mean(), rel=1e-12)

    changed = torch.where(mask, values, draw(2, 3, 4, 5))
    assert torch.equal(masked_mean(changed, mask.to(dtype)), mean)


def test_masked_mean_weighs_by_a_fractional_mask():
    values, mask = draw(2, 3, 4, 5), torch.rand(2, 1, 4, 5, dtype=torch.float64) / 100
    expected = np.average(values.numpy(), weights=mask.expand_as(values).numpy())
    assert masked_mean(values, mask).item() == pytest.approx(expected, rel=1e-12)


def test_an_empty_mask_gives_zero_and_zero_gradients():
    values = draw(2, 3, 4, 5).requires_grad_()
    mean = masked_mean(values, torch.zeros(2, 1, 4, 5))
    mean.backward()
    assert mean.item() == 0
    assert not values.grad.any()


# The dispersion that a loss prefers ---------------------------------------------------
#
# Samples s * X and data Y of the same law of dispersion 1: the s of the least expected
# loss, and the s where its expected gradient vanishes. For Laplace these are two
# questions, as the gradient of the median is that of the mean.

DRAWS = {4: 200_000, 5: 200_000, 10: 100_000, 24: 50_000}


def monte_carlo(kind, distribution, num_samples, order, estimator):
    law = Normal(0.0, 1.0) if distribution == 'gaussian' else Laplace(0.0, 1.0)
    draws = DRAWS[num_samples]
    base = law.sample((1, num_samples, 1, 1, draws))
    if distribution == 'gaussian':
        base = stratified(base)
    if kind == 'mr':
        loss, target = mr_loss, law.sample((1, 1, 1, draws))
        if distribution == 'gaussian':
            target = target.sign()  # only the variance of the data matters, here 1
    else:
        zero = torch.zeros(1, 1, 1, draws)
        loss, target = proxy_mr_loss, Moments(zero, zero + 1)

    def expected_loss(scale):
        return loss(base * scale, target, distribution, order, estimator).mean()

    return expected_loss


def stratified(base):
    """Give the sample variances their exact quantiles.

    For Gaussian samples they are independent of everything else. Drawn at random they
    would need far more draws: 1/v of four samples has no variance.
    """
    num_samples, draws = base.shape[1], base.shape[-1]
    mean, var = base.mean(1, keepdim=True), base.var(1, keepdim=True)
    quantiles = (np.arange(draws) + 0.5) / draws
    exact = stats.chi2.ppf(quantiles, num_samples - 1) / (num_samples - 1)
    order = var.flatten().argsort()
    ratio = torch.empty(draws)
    ratio[order] = torch.from_numpy(exact).float() / var.flatten()[order]
    return mean + (base - mean) * ratio.sqrt()


def preferred_scale(expected_loss, by):
    def value(scale):
        with torch.no_grad():
            return expected_loss(scale).item()

    def slope(scale):
        scale = torch.tensor(scale, requires_grad=True)
        return torch.autograd.grad(expected_loss(scale), scale)[0].item()

    if by == 'gradient':
        return optimize.brentq(slope, 0.5, 2, xtol=1e-3)
    options = {'xatol': 2e-3}
    return optimize.minimize_scalar(
        value, bounds=(0.5, 2), method='bounded', options=options
    ).x


@pytest.mark.parametrize('num_samples', [4, 10, 24])
@pytest.mark.parametrize('kind', ['mr', 'proxy'])
@pytest.mark.parametrize('estimator', ['paper', 'unbiased'])
def test_variance_preferred_by_gaussian_order_2(kind, num_samples, estimator):
    K = num_samples
    expected = 1.0
    if estimator == 'paper':
        expected = (
            (K - 1) / (K - 3) if kind == 'mr' else (2 - 1 / K) / (2 + 4 / (K - 1))
        )
    expected_loss = monte_carlo(kind, 'gaussian', K, 2, estimator)
    variance = preferred_scale(expected_loss, 'gradient') ** 2
    assert variance == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize('num_samples', [4, 5, 10, 24])
@pytest.mark.parametrize(('kind', 'order'), [('mr', 1), ('mr', 2), ('proxy', 2)])
@pytest.mark.parametrize('by', ['value', 'gradient'])
def test_dispersion_preferred_by_unbiased_laplace(kind, order, num_samples, by):
    expected_loss = monte_carlo(kind, 'laplace', num_samples, order, 'unbiased')
    tolerance = 0.1 if (kind, order) == ('mr', 1) else 0.015  # a flat minimum
    assert preferred_scale(expected_loss, by) == pytest.approx(1, rel=tolerance)


@pytest.mark.parametrize('num_samples', [4, 10])
@pytest.mark.parametrize(
    ('kind', 'distribution'),
    [('mr', 'gaussian'), ('proxy', 'gaussian'), ('proxy', 'laplace')],
)
def test_unbiased_order_1_is_indifferent_to_the_dispersion(
    kind, distribution, num_samples
):
    K = num_samples
    expected_loss = monte_carlo(kind, distribution, K, 1, 'unbiased')
    biased_loss = monte_carlo(kind, distribution, K, 1, 'paper')
    for scale in (0.5, 2.0):
        assert expected_loss(scale).item() == pytest.approx(
            float(kind == 'mr'), abs=0.02
        )
        assert biased_loss(scale).item() > (kind == 'mr') + 0.7 * scale**2 / K
        scale = torch.tensor(scale, requires_grad=True)
        (slope,) = torch.autograd.grad(expected_loss(scale), scale)
        assert slope.item() == pytest.approx(0, abs=0.02)


def test_unbiased_gaussian_proxy_holds_for_any_distribution():
    samples = Exponential(1.0).sample((1, 5, 1, 1, 400_000)).double()  # variance 1
    one = torch.ones(1, 1, 1, 400_000, dtype=torch.float64)
    for mean, variance in ((1.0, 1.0), (0.5, 2.0)):
        predicted = Moments(mean * one, variance * one)
        loss = proxy_mr_loss(samples, predicted, 'gaussian', 2, 'unbiased').mean()
        expected = (1 - mean) ** 2 + (1 - variance) ** 2
        assert loss.item() == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize('num_samples', [5, 10])
def test_unbiased_laplace_moments(num_samples):
    samples = Laplace(3.0, 2.0).sample((1, num_samples, 1, 1, 200_000))
    center, dispersion = sample_moments(samples, 'laplace', 'unbiased')
    assert center.mean().item() == pytest.approx(3, abs=0.01)
    assert dispersion.mean().item() == pytest.approx(2, abs=0.01)


# Bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('cauchy', 2, 'paper'), r"distribution must be one of 'gaussian', 'laplace'"),
        (('gaussian', 3, 'paper'), 'order must be one of 1, 2, got 3'),
        (('gaussian', 2, 'best'), r"estimator must be one of 'paper', 'unbiased'"),
    ],
)
def test_unknown_options_are_refused(options, message):
    samples, target = draw(1, 4, 1, 2, 2), draw(1, 1, 2, 2)
    with pytest.raises(ValueError, match=message):
        mr_loss(samples, target, *options)
    with pytest.raises(ValueError, match=message):
        proxy_mr_loss(samples, Moments(target, target), *options)
    if options[2] == 'paper':
        with pytest.raises(ValueError, match=message):
            nll(target, target, target, *options[:2])
    if options[1] == 2:
        with pytest.raises(ValueError, match=message):
            sample_moments(samples, options[0], options[2])


@all_variants
def test_too_few_samples_are_refused(kind, distribution, order, estimator):
    needed = {('paper', 1): 1, ('paper', 2): 2, ('unbiased', 1): 2, ('unbiased', 2): 4}
    least = needed[estimator, order]
    args = distribution, order, estimator
    loss = evaluate(kind, draw(1, least, 1, 2, 2), *args)
    assert loss.isfinite().all()
    message = rf'Order {order} .*K = {least} .*got K = {least - 1}\.'
    with pytest.raises(ValueError, match=message):
        evaluate(kind, draw(1, least - 1, 1, 2, 2), *args)


def test_wrong_shapes_are_refused():
    samples, target = draw(2, 4, 3, 4, 5), draw(2, 3, 4, 5)
    with pytest.raises(ValueError, match=r'\(N, K, C, H, W\).*\(2, 3, 4, 5\)'):
        sample_moments(target)
    with pytest.raises(
        ValueError, match=r'target .*\(2, 3, 4, 5\), got \(2, 1, 4, 5\)'
    ):
        mr_loss(samples, target[:, :1])
    with pytest.raises(ValueError, match=r'target\.dispersion .*got \(1, 3, 4, 5\)'):
        proxy_mr_loss(samples, Moments(target, target[:1]))
    with pytest.raises(ValueError, match=r'log_dispersion .*got \(2, 1, 4, 5\)'):
        nll(target, target[:, :1], target)
    with pytest.raises(ValueError, match='log_dispersion, got None'):
        nll(target, None, target)
    with pytest.raises(ValueError, match=r'mask .*\(2, 1, 4, 5\), got \(2, 3, 4, 5\)'):
        masked_mean(target, torch.ones(2, 3, 4, 5))


def test_a_proxy_target_must_be_moments():
    samples, target = draw(2, 4, 3, 4, 5), draw(2, 3, 4, 5)
    for wrong in (target, (target, target)):
        with pytest.raises(TypeError, match=type(wrong).__name__):
            proxy_mr_loss(samples, wrong)


def test_importing_it_loads_torch_only():
    code = (
        'import sys, mmagic_mr.functional; '
        'print({"mmagic", "mmengine", "mmcv", "cv2"} & set(sys.modules))'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == 'set()'


@pytest.mark.parametrize(
    ('distribution', 'reference'),
    [
        ('gaussian', lambda b: Normal(0, b.sqrt())),
        ('laplace', lambda b: Laplace(0, b)),
    ],
)
def test_variance_of(distribution, reference):
    dispersion = torch.rand(2, 3, 4, 4) + 0.1
    moments = Moments(torch.zeros_like(dispersion), dispersion)
    torch.testing.assert_close(
        variance_of(moments, distribution), reference(dispersion).variance
    )
