"""The moment losses: the weighted mean of their formulas, and what they refuse."""

import pytest
import torch

from mmagic_mr import losses
from mmagic_mr.errors import UserError
from mmagic_mr.functional import Moments, masked_mean, mr_loss, nll, proxy_mr_loss

OPTIONS = dict(distribution='laplace', order=2)


def build(type, **options):
    return getattr(losses, type)(**options)


@pytest.fixture
def batch():
    """Samples, two targets and a mask of a third of the pixels."""
    mask = torch.zeros(2, 1, 6, 6)
    mask[:, :, 2:4] = 1
    return torch.randn(2, 5, 3, 6, 6), *torch.randn(2, 2, 3, 6, 6), mask


def test_mr_loss_is_the_weighted_mean_of_its_formula(batch):
    samples, target, _, mask = batch
    loss = build(
        'MRLoss',
        loss_weight=10.0,
        estimator='unbiased',
        min_noise=0.1,
        **OPTIONS,
    )
    values = mr_loss(samples, target, 'laplace', 2, 'unbiased', 0.1)
    torch.testing.assert_close(loss(samples, target), 10 * values.mean())
    torch.testing.assert_close(
        loss(samples, target, mask=mask), 10 * values[:, :, 2:4].mean()
    )


def test_proxy_mr_loss_is_the_weighted_mean_of_its_formula(batch):
    samples, center, log_dispersion, mask = batch
    loss = build('ProxyMRLoss', loss_weight=10.0, estimator='unbiased', **OPTIONS)
    target = Moments(center, log_dispersion.exp())
    values = proxy_mr_loss(samples, target, 'laplace', 2, 'unbiased')
    torch.testing.assert_close(loss(samples, target), 10 * values.mean())
    torch.testing.assert_close(
        loss(samples, target, mask=mask), 10 * values[:, :, 2:4].mean()
    )


def test_moment_nll_loss_is_the_weighted_mean_of_its_formula(batch):
    samples, center, log_dispersion, mask = batch
    target = samples[:, 0]
    loss = build('MomentNLLLoss', loss_weight=10.0, min_noise=0.1, **OPTIONS)
    values = nll(center, log_dispersion, target, 'laplace', 2, 0.1)
    args = center, log_dispersion, target
    torch.testing.assert_close(loss(*args), 10 * values.mean())
    torch.testing.assert_close(loss(*args, mask), 10 * values[:, :, 2:4].mean())


def test_defaults_are_the_papers_gaussian_of_order_2(batch):
    samples, center, log_dispersion, _ = batch
    predicted = Moments(center, log_dispersion.exp())
    torch.testing.assert_close(
        build('MRLoss')(samples, center),
        mr_loss(samples, center, 'gaussian', 2, 'paper', 0.0).mean(),
    )
    torch.testing.assert_close(
        build('ProxyMRLoss')(samples, predicted),
        proxy_mr_loss(samples, predicted, 'gaussian', 2, 'paper').mean(),
    )
    torch.testing.assert_close(
        build('MomentNLLLoss')(center, log_dispersion, samples[:, 0]),
        nll(center, log_dispersion, samples[:, 0], 'gaussian', 2, 0.0).mean(),
    )


@pytest.mark.parametrize('distribution', ['gaussian', 'laplace'])
@pytest.mark.parametrize('order', [1, 2])
def test_nothing_outside_the_mask_matters(batch, distribution, order):
    samples, center, log_dispersion, mask = batch
    samples.requires_grad_()
    target = Moments(center, log_dispersion.exp())
    changed = Moments(*(torch.where(mask > 0, m, torch.rand(())) for m in target))
    options = dict(distribution=distribution, order=order)
    mr = build('MRLoss', **options)
    proxy = build('ProxyMRLoss', **options)
    loss = mr(samples, target.center, mask=mask) + proxy(samples, target, mask=mask)
    other = mr(samples, changed.center, mask=mask) + proxy(samples, changed, mask=mask)
    assert torch.equal(loss, other)
    loss.backward()
    outside = (mask == 0).unsqueeze(1).expand_as(samples)
    assert not samples.grad[outside].any()
    assert samples.grad[~outside].all()


def test_the_weight_may_sum_channels_per_pixel(batch):
    # The authors divide masked sums by the number of pixels, not of elements.
    samples, center, _, mask = batch
    values = mr_loss(samples, center, 'gaussian', order=1)
    assert masked_mean(values, mask).item() * 3 == pytest.approx(
        ((values * mask).sum() / mask.sum()).item()
    )


@pytest.mark.parametrize('distribution', ['gaussian', 'laplace'])
@pytest.mark.parametrize('order', [1, 2])
@pytest.mark.parametrize('type', ['MRLoss', 'ProxyMRLoss'])
def test_gradient_on_a_picture_is_the_same_in_both_ranges(type, order, distribution):
    # Gray levels of 0..255; the weight is for images in [-1, 1].
    samples = (torch.rand(2, 6, 3, 4, 4).double() * 255).requires_grad_()
    y = torch.rand(2, 3, 4, 4).double() * 255
    dispersion = y if distribution == 'laplace' else y.square()
    options = dict(type=type, order=order, distribution=distribution)
    if type == 'MRLoss':
        options['min_noise'] = 0.01

    def gradient(mean, std, **kwargs):
        loss = build(**(options | kwargs))
        target = (y - mean) / std
        if type == 'ProxyMRLoss':
            power = 1 if distribution == 'laplace' else 2
            target = Moments(target, dispersion / std**power)
        return torch.autograd.grad(loss((samples - mean) / std, target), samples)[0]

    minus_one_to_one = gradient(127.5, 127.5, loss_weight=20.0)
    zero_to_one = gradient(0.0, 255.0, loss_weight=20.0, value_scale=2.0)
    torch.testing.assert_close(zero_to_one, minus_one_to_one, rtol=1e-8, atol=0)
    # Without value_scale: what the weight would have to be multiplied by.
    factor = {'gaussian': 4, 'laplace': 2}[distribution] if type == 'MRLoss' else 4
    if order == 1:
        same = gradient(0.0, 255.0, loss_weight=20.0 * factor)
        torch.testing.assert_close(same, minus_one_to_one, rtol=1e-8, atol=0)
    elif type == 'MRLoss':
        noise = 0.01 / factor
        same = gradient(0.0, 255.0, loss_weight=20.0, min_noise=noise)
        torch.testing.assert_close(same, minus_one_to_one, rtol=1e-8, atol=0)


@pytest.mark.parametrize('type', ['MRLoss', 'ProxyMRLoss', 'MomentNLLLoss'])
def test_bad_options_are_refused_when_built(type):
    with pytest.raises(UserError, match=r"'gaussian', 'laplace', got 'cauchy'"):
        build(type, distribution='cauchy')
    with pytest.raises(UserError, match='one of 1, 2, got 0'):
        build(type, order=0)
    if type != 'MomentNLLLoss':
        with pytest.raises(UserError, match='value_scale must be positive, got 0'):
            build(type, value_scale=0)
        with pytest.raises(UserError, match=r"'unbiased', got 'exact'"):
            build(type, estimator='exact')


def test_bad_batches_are_refused(batch):
    samples, center, _, mask = batch
    mr, proxy = (build(t) for t in ('MRLoss', 'ProxyMRLoss'))
    with pytest.raises(UserError, match=r'at least K = 2 .* got K = 1'):
        mr(samples[:, :1], center)
    with pytest.raises(UserError, match=r'Moments.*predictor, got Tensor'):
        proxy(samples, center)
    with pytest.raises(UserError, match='mask must have the shape'):
        mr(samples, center, mask=mask[0])


def test_repr_names_the_options():
    loss = build('MRLoss', min_noise=0.01, **OPTIONS)
    assert repr(loss) == (
        "MRLoss(distribution='laplace', order=2, loss_weight=1.0, estimator='paper', "
        'min_noise=0.01)'
    )
