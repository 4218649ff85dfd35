"""The energy score against another library, brute force and hand numbers."""

import math
from itertools import combinations

import numpy as np
import pytest
import scoringrules
import torch
from helpers.formulas import draw, preferred_scale
from helpers.memory import saved_bytes
from torch.nn import functional as F

from mmagic_mr.errors import UserError
from mmagic_mr.functional import crps, energy_score


def by_unfolding(samples, target, patch, beta):
    """The definition, with a copy of every patch in memory."""

    def norm(a, b):
        n, c, h, w = a.shape
        cells = F.unfold((a - b).reshape(n * c, 1, h, w), patch)
        return (cells.norm(dim=1) ** beta).reshape(n, c, h - patch + 1, w - patch + 1)

    k = samples.shape[1]
    near = sum(norm(samples[:, i], target) for i in range(k)) / k
    pairs = combinations(range(k), 2)
    apart = sum(norm(samples[:, i], samples[:, j]) for i, j in pairs)
    return near - apart / (k * (k - 1))


def test_two_points_by_hand():
    # Two elements: distances 5 and 5 to the target, 10 between the samples.
    samples = torch.tensor([[0.0, 0.0], [6.0, 8.0]]).reshape(1, 2, 1, 1, 2)
    target = torch.tensor([3.0, 4.0]).reshape(1, 1, 1, 2)
    assert energy_score(samples, target).item() == 0
    assert energy_score(samples, target + torch.tensor([0.0, 8.0])).item() == (
        pytest.approx((math.hypot(3, 12) + math.hypot(3, 4)) / 2 - 5, abs=1e-6)
    )
    # To the power of a half: 5^0.5 - 10^0.5 / 2.
    assert energy_score(samples, target, beta=0.5).item() == pytest.approx(
        5**0.5 - 10**0.5 / 2, abs=1e-6
    )


@pytest.mark.parametrize('num_samples', [2, 5])
def test_the_whole_image_equals_scoringrules(num_samples):
    samples, target = draw(3, num_samples, 2, 4, 5), draw(3, 2, 4, 5)
    loss = energy_score(samples, target)
    expected = scoringrules.es_ensemble(
        target.flatten(1).numpy(),
        samples.flatten(2).numpy(),
        estimator='fair',
        backend='numpy',
    )
    assert loss.shape == (3, 1, 1, 1)
    np.testing.assert_allclose(loss.flatten(), expected, rtol=1e-10)


@pytest.mark.parametrize('num_samples', [2, 6])
def test_a_patch_of_one_pixel_is_the_crps(num_samples):
    samples, target = draw(2, num_samples, 3, 4, 5).requires_grad_(), draw(2, 3, 4, 5)
    loss, expected = energy_score(samples, target, 1), crps(samples, target)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)
    gradients = [torch.autograd.grad(x.sum(), samples)[0] for x in (loss, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)
    single = energy_score(samples.float(), target.float(), 1)
    torch.testing.assert_close(single.double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize('patch', [2, 4, 5])
@pytest.mark.parametrize('beta', [0.5, 1.0, 1.5])
def test_patches_equal_brute_force(patch, beta):
    samples, target = draw(2, 4, 3, 5, 7), draw(2, 3, 5, 7)
    loss = energy_score(samples, target, patch, beta)
    expected = by_unfolding(samples, target, patch, beta)
    assert loss.shape == (2, 3, 6 - patch, 8 - patch)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)


def test_units_are_those_of_a_plain_norm():
    samples, target = draw(2, 4, 3, 6, 6), draw(2, 3, 6, 6)
    for patch, beta in ((3, 1.0), (None, 1.5)):
        scaled = energy_score(3 * samples + 2, 3 * target + 2, patch, beta)
        expected = 3**beta * energy_score(samples, target, patch, beta)
        torch.testing.assert_close(scaled, expected)
    # A difference of 1 at all of the n places of a patch has the norm sqrt(n).
    even, ones = torch.zeros(1, 2, 2, 6, 6), torch.ones(1, 2, 6, 6)
    assert energy_score(even, ones, 3).mean().item() == pytest.approx(3, abs=1e-5)
    assert energy_score(even, ones).item() == pytest.approx(72**0.5, abs=1e-5)


@pytest.mark.parametrize('patch', [None, 1, 2])
@pytest.mark.parametrize('beta', [1.0, 1.5])
def test_gradcheck(patch, beta):
    inputs = draw(1, 3, 1, 2, 3).requires_grad_(), draw(1, 1, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s, y: energy_score(s, y, patch, beta), inputs
    )


@pytest.mark.parametrize('patch', [None, 1, 3])
@pytest.mark.parametrize('beta', [0.5, 1.0, 1.5])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_gradients_are_finite_where_samples_coincide(patch, beta, dtype):
    samples = torch.randn(2, 4, 3, 6, 6)
    samples[:, 1] = samples[:, 0]
    target = samples[:, 2].clone()
    samples = samples.to(dtype).requires_grad_()
    loss = energy_score(samples, target.to(dtype), patch, beta)
    assert loss.dtype == torch.float32
    loss.mean().backward()
    assert loss.isfinite().all()
    assert samples.grad.isfinite().all()
    assert samples.grad[:, 3].any()


@pytest.mark.parametrize('patch', [None, 3])
def test_the_order_of_the_samples_does_not_matter(patch):
    samples, target = draw(2, 5, 3, 6, 6), draw(2, 3, 6, 6)
    torch.testing.assert_close(
        energy_score(samples[:, torch.randperm(5)], target, patch),
        energy_score(samples, target, patch),
    )


@pytest.mark.parametrize('patch', [None, 2])
@pytest.mark.parametrize('num_samples', [2, 4])
def test_variance_preferred_for_gaussian_data(patch, num_samples):
    base = torch.randn(30_000, num_samples, 1, 2, 2)
    target = torch.randn(30_000, 1, 2, 2)

    def expected_loss(scale):
        return energy_score(base * scale, target, patch).mean()

    variance = preferred_scale(expected_loss, 'gradient') ** 2
    assert variance == pytest.approx(1, abs=0.03)


def test_it_sees_how_neighbors_go_together():
    # Neighbors that are equal in the data: the CRPS is the same for samples whose
    # neighbors have nothing to do with each other.
    shared, own = torch.randn(2, 20_000, 5, 1, 1, 1), torch.randn(20_000, 5, 1, 1, 2)
    target = shared[0, :, 0].expand(-1, -1, 1, 2)
    right = shared[1].expand(-1, -1, 1, 1, 2)
    gap = (crps(own, target).mean() - crps(right, target).mean()).item()
    assert gap == pytest.approx(0, abs=0.01)
    gap = (energy_score(own, target).mean() - energy_score(right, target).mean()).item()
    assert gap == pytest.approx(expected_gap(), abs=0.015)


def expected_gap():
    """Of the mean distance to y less half that of two samples, by the exact laws."""
    angle = torch.arange(0.0, 2 * math.pi, 1e-4, dtype=torch.float64)
    radius = math.sqrt(math.pi / 2)  # mean length of a 2D standard Gaussian vector
    # Independent neighbors: x - y has the variance 1 + 2 along the diagonal, 1 across.
    own = radius * (3 * angle.cos() ** 2 + angle.sin() ** 2).sqrt().mean().item()
    # Equal ones: sqrt(2) times a difference of standard deviation sqrt(2).
    right = math.sqrt(2) * math.sqrt(2) * math.sqrt(2 / math.pi)
    return (own - radius * math.sqrt(2) / 2) - right / 2


def test_a_mask_leaves_the_elements_inside():
    samples, target = draw(2, 4, 3, 5, 6), draw(2, 3, 5, 6)
    mask = torch.zeros(2, 1, 5, 6)
    mask[:, :, 1:3, 2:6] = 1
    inside = energy_score(samples[..., 1:3, 2:6], target[..., 1:3, 2:6])
    torch.testing.assert_close(energy_score(samples, target, mask=mask), inside)


@pytest.mark.parametrize('patch', [None, 3])
def test_no_pair_of_samples_keeps_an_image(patch):
    K, bytes_of_samples = 12, 12 * 3 * 32 * 32 * 4
    samples = torch.randn(1, K, 3, 32, 32, requires_grad=True)
    with saved_bytes() as sizes:
        energy_score(samples, torch.randn(1, 3, 32, 32), patch)
    assert sum(sizes) <= 2 * bytes_of_samples  # 66 pairs: 5.5 times each kept tensor


def test_bad_input_is_refused():
    samples, target = draw(2, 4, 3, 4, 5), draw(2, 3, 4, 5)
    for patch in (0, -1, 2.5, 'all'):
        with pytest.raises(UserError, match=f'patch must be .*got {patch!r}'):
            energy_score(samples, target, patch)
    for beta in (0, 2, -1.0, float('nan')):
        with pytest.raises(UserError, match=f'beta must be .*got {beta!r}'):
            energy_score(samples, target, None, beta)
    with pytest.raises(UserError, match=r'patch = 5 is larger than .* 4 x 5'):
        energy_score(samples, target, 5)
    with pytest.raises(UserError, match=r'at least K = 2 .*got K = 1'):
        energy_score(samples[:, :1], target)
    with pytest.raises(UserError, match=r'mask must have .*got \(2, 3, 4, 5\)'):
        energy_score(samples, target, mask=torch.ones(2, 3, 4, 5))
    with pytest.raises(UserError, match=r'patch = 2 .*patch_mask'):
        energy_score(samples, target, 2, mask=torch.ones(2, 1, 4, 5))
