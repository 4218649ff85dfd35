"""The kernel score against closed forms, another library and brute force."""

import math

import numpy as np
import pytest
import scoringrules
import torch
from helpers.formulas import draw, preferred_scale
from helpers.memory import saved_bytes
from torch.nn import functional as F

from mmagic_mr.errors import UserError
from mmagic_mr.functional import kernel_score

BANDWIDTHS = (0.3, 1.0)


def by_unfolding(samples, target, patch):
    """The definition, with a copy of every patch and every pair in memory."""
    images = torch.cat([samples, target.unsqueeze(1)], dim=1)
    n, k, c, h, w = images.shape
    cells = F.unfold(images.reshape(-1, 1, h, w), patch)
    cells = cells.view(n, k, c, patch**2, h - patch + 1, w - patch + 1)
    square = (cells.unsqueeze(1) - cells.unsqueeze(2)).square().mean(dim=4)
    kernel = sum((-square / (2 * b**2)).exp() for b in BANDWIDTHS) / len(BANDWIDTHS)
    among, near, k = kernel[:, :-1, :-1], kernel[:, :-1, -1], k - 1
    off = 1 - torch.eye(k, dtype=kernel.dtype).view(1, k, k, 1, 1, 1)
    return (among * off).sum((1, 2)) / (k * (k - 1)) - 2 * near.mean(1)


def closed_form(mean, variance, y, h):
    """Of N(mean, variance) in one dimension, for a Gaussian kernel."""
    among = h / math.sqrt(h**2 + 2 * variance)
    wide = h**2 + variance
    near = h / math.sqrt(wide) * math.exp(-((y - mean) ** 2) / (2 * wide))
    return among - 2 * near


@pytest.mark.parametrize('num_samples', [2, 5])
@pytest.mark.parametrize(
    ('mean', 'std', 'y', 'h'), [(0.0, 1.0, 0.5, 1.0), (0.3, 0.5, -1.0, 0.4)]
)
def test_gaussian_law_in_one_dimension(num_samples, mean, std, y, h):
    samples = mean + std * torch.randn(1, num_samples, 1, 1, 100_000)
    target = torch.full((1, 1, 1, 100_000), y)
    score = kernel_score(samples, target, [h], patch=1).mean().item()
    assert score == pytest.approx(closed_form(mean, std**2, y, h), abs=0.006)


@pytest.mark.parametrize('num_samples', [2, 5])
def test_the_whole_image_equals_scoringrules(num_samples):
    samples, target = draw(3, num_samples, 2, 2, 3), draw(3, 2, 2, 3)
    # Theirs is half of ours, with k(y, y) / 2 = 1/2 more, and the norm is a sum.
    expected = scoringrules.gksmv_ensemble(
        target.flatten(1).numpy(),
        samples.flatten(2).numpy(),
        estimator='fair',
        backend='numpy',
    )
    score = kernel_score(samples, target, [12**-0.5])
    assert score.shape == (3, 1, 1, 1)
    np.testing.assert_allclose(score.flatten(), 2 * expected - 1, rtol=1e-10)


@pytest.mark.parametrize('patch', [1, 2, 5])
def test_patches_equal_brute_force(patch):
    samples, target = draw(2, 4, 3, 5, 7), draw(2, 3, 5, 7)
    score = kernel_score(samples, target, BANDWIDTHS, patch)
    assert score.shape == (2, 3, 6 - patch, 8 - patch)
    torch.testing.assert_close(
        score, by_unfolding(samples, target, patch), rtol=0, atol=1e-12
    )


def test_a_bandwidth_is_a_difference_per_element():
    zero, target = torch.zeros(1, 2, 3, 4, 4), torch.full((1, 3, 4, 4), 2.0)
    expected = pytest.approx(1 - 2 * math.exp(-0.5), abs=1e-6)
    for patch in (None, 1, 3):
        score = kernel_score(zero, target, [2.0], patch)
        assert score.mean().item() == expected
    samples, target = draw(2, 4, 3, 4, 4), draw(2, 3, 4, 4)
    torch.testing.assert_close(
        kernel_score(5 * samples, 5 * target, [5 * b for b in BANDWIDTHS]),
        kernel_score(samples, target, BANDWIDTHS),
    )


@pytest.mark.parametrize('patch', [None, 1, 2])
def test_gradcheck(patch):
    inputs = draw(1, 3, 1, 2, 3).requires_grad_(), draw(1, 1, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s, y: kernel_score(s, y, BANDWIDTHS, patch), inputs
    )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_gradients_are_finite_wherever_the_samples_are(dtype):
    samples = torch.randn(2, 4, 3, 6, 6)
    samples[:, 1] = samples[:, 0]
    samples[:, 2] = 1000.0
    samples = samples.to(dtype).requires_grad_()
    score = kernel_score(samples, samples[:, 0].detach(), BANDWIDTHS, 3)
    assert score.dtype == torch.float32
    score.mean().backward()
    assert score.isfinite().all()
    assert samples.grad.isfinite().all()
    assert samples.grad[:, 3].any()
    assert not samples.grad[:, 2].any()  # too far away to have any


def test_the_order_of_the_samples_does_not_matter():
    samples, target = draw(2, 5, 3, 6, 6), draw(2, 3, 6, 6)
    torch.testing.assert_close(
        kernel_score(samples[:, torch.randperm(5)], target, BANDWIDTHS),
        kernel_score(samples, target, BANDWIDTHS),
    )


@pytest.mark.parametrize(('patch', 'num_samples'), [(None, 2), (None, 10), (2, 4)])
def test_variance_preferred_for_gaussian_data(patch, num_samples):
    draws = 100_000 // num_samples
    base = torch.randn(draws, num_samples, 1, 2, 2)
    target = torch.randn(draws, 1, 2, 2)

    def expected_loss(scale):
        return kernel_score(base * scale, target, BANDWIDTHS, patch).mean()

    variance = preferred_scale(expected_loss, 'gradient') ** 2
    assert variance == pytest.approx(1, abs=0.05)


def test_a_mask_leaves_the_elements_inside():
    samples, target = draw(2, 4, 3, 5, 6), draw(2, 3, 5, 6)
    mask = torch.zeros(2, 1, 5, 6)
    mask[:, :, 1:3, 2:6] = 1
    inside = kernel_score(samples[..., 1:3, 2:6], target[..., 1:3, 2:6], BANDWIDTHS)
    torch.testing.assert_close(
        kernel_score(samples, target, BANDWIDTHS, mask=mask), inside
    )


@pytest.mark.parametrize('patch', [None, 3])
def test_no_pair_of_samples_keeps_an_image(patch):
    K, bytes_of_samples = 12, 12 * 3 * 32 * 32 * 4
    samples = torch.randn(1, K, 3, 32, 32, requires_grad=True)
    with saved_bytes() as sizes:
        kernel_score(samples, torch.randn(1, 3, 32, 32), BANDWIDTHS, patch)
    assert sum(sizes) <= 2 * bytes_of_samples  # 66 pairs: 5.5 times each kept tensor


def test_bad_input_is_refused():
    samples, target = draw(2, 4, 3, 4, 5), draw(2, 3, 4, 5)
    for bad in ([], [0.0], [1.0, -1.0], [float('nan')], 1.0, 'wide', [True]):
        with pytest.raises(UserError, match='bandwidths must be a list of positive'):
            kernel_score(samples, target, bad)
    with pytest.raises(UserError, match=r'patch = 5 is larger than .* 4 x 5'):
        kernel_score(samples, target, [1.0], 5)
    with pytest.raises(UserError, match=r'at least K = 2 .*got K = 1'):
        kernel_score(samples[:, :1], target, [1.0])
