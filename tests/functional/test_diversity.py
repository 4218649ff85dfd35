"""The baselines that ask for diversity: their formulas, and what is wrong with each."""

from itertools import combinations

import pytest
import torch
from helpers.formulas import draw, preferred_scale
from helpers.memory import saved_bytes

from mmagic_mr.errors import UserError
from mmagic_mr.functional import best_of_k, dsgan, mean_difference, mode_seeking, ndiv

WITH_NOISE = {'mode_seeking': mode_seeking, 'dsgan': dsgan, 'ndiv': ndiv}
every_one = pytest.mark.parametrize('term', WITH_NOISE.values(), ids=WITH_NOISE)


def batch(num_samples=4, dtype=torch.float64):
    """Samples, and their noise at two sites."""
    noise = dict(
        map=draw(2, num_samples, 2, 3, 3, dtype=dtype),
        vector=4 * draw(2, num_samples, 5, 1, 1, dtype=dtype),
    )
    noise['vector'][:, 0] *= 10  # one is far from the others
    return draw(2, num_samples, 3, 5, 6, dtype=dtype), noise


def all_of(noise):
    return torch.cat([z.flatten(2) for z in noise.values()], dim=2)


def test_mean_difference_equals_brute_force():
    samples, _ = batch(5)
    samples[:, 1] = samples[:, 3]
    expected = [
        (samples[:, k] - samples[:, j]).abs() for k, j in combinations(range(5), 2)
    ]
    torch.testing.assert_close(mean_difference(samples), sum(expected) / 10)


@pytest.mark.parametrize('num_samples', [2, 4])
def test_mode_seeking_is_the_formula(num_samples):
    samples, noise = batch(num_samples)
    z, pairs = all_of(noise), list(combinations(range(num_samples), 2))
    apart = sum((samples[:, k] - samples[:, j]).abs().mean() for k, j in pairs)
    given = sum((z[:, k] - z[:, j]).abs().mean() for k, j in pairs)
    expected = 1 / (apart / given + 1e-5)
    torch.testing.assert_close(mode_seeking(samples, noise), expected)


@pytest.mark.parametrize('tau', [0.1, 0.3, 5.0])
def test_dsgan_is_the_formula(tau):
    samples, noise = batch()
    z = all_of(noise)
    ratios = [
        (samples[:, k] - samples[:, j]).abs().mean((1, 2, 3))
        / ((z[:, k] - z[:, j]).abs().mean(1) + 1e-5)
        for k, j in combinations(range(4), 2)
    ]
    ratios = torch.stack(ratios)
    assert (ratios < 0.1).any()
    assert (ratios > 0.3).any()
    expected = -ratios.clamp(max=tau).mean()
    torch.testing.assert_close(dsgan(samples, noise, tau), expected)
    released = dsgan(samples, noise, tau, 'released')
    torch.testing.assert_close(released, -ratios.mean())


@pytest.mark.parametrize('num_samples', [3, 5])
@pytest.mark.parametrize('alpha', [0.8, 1.0])
def test_ndiv_is_the_formula(num_samples, alpha):
    samples, noise = batch(num_samples)

    def normalized(rows):
        distances = torch.cdist(rows, rows)
        return distances / distances.sum(2, keepdim=True)

    gap = alpha * normalized(all_of(noise)) - normalized(samples.flatten(2))
    expected = gap.relu().sum() / (2 * num_samples * (num_samples - 1))
    assert expected > 0
    torch.testing.assert_close(ndiv(samples, noise, alpha), expected)


def test_no_gradient_goes_through_the_denominators_of_ndiv():
    samples, noise = batch()
    samples.requires_grad_()
    (grad,) = torch.autograd.grad(ndiv(samples, noise), samples)
    # Otherwise a stretch of all samples would change nothing
    assert (grad * samples).sum().item() < -0.01


def test_best_of_k_is_the_formula():
    samples, target = draw(2, 5, 3, 4, 5), draw(2, 3, 4, 5)
    distances = (samples - target.unsqueeze(1)).square().mean((2, 3, 4))
    best = best_of_k(samples, target)
    assert best.shape == (2, 1, 1, 1)
    torch.testing.assert_close(best.flatten(), distances.min(1).values)


# -- the faults ------------------------------------------------------------------------


def test_mode_seeking_has_a_pole_at_collapse():
    noise = dict(site=torch.randn(1, 4, 3, 4, 4, dtype=torch.float64))
    spread = torch.tensor(1e-13, dtype=torch.float64, requires_grad=True)
    value = mode_seeking(spread * noise['site'], noise)  # the ratio is the spread
    (slope,) = torch.autograd.grad(value, spread)
    assert value.item() == pytest.approx(1e5, rel=1e-6)
    assert slope.item() == pytest.approx(-1e10, rel=1e-6)


def test_dsgan_has_a_bound_and_as_released_none():
    noise = dict(site=torch.randn(1, 4, 3, 4, 4))
    for spread, paper, released in ((0.5, -0.5, -0.5), (3, -2, -3), (1e4, -2, -1e4)):
        samples = spread * noise['site']
        assert dsgan(samples, noise, 2.0).item() == pytest.approx(paper, rel=1e-3)
        value = dsgan(samples, noise, 2.0, 'released').item()
        assert value == pytest.approx(released, rel=1e-3)


def test_ndiv_is_blind_to_the_amount():
    noise = dict(site=torch.randn(1, 4, 3, 8, 8))
    for spread in (1e-6, 1.0, 1e6):
        assert ndiv(spread * noise['site'], noise).item() == 0


@pytest.mark.parametrize(
    ('num_samples', 'std'), [(2, 0.55), (4, 1.0), (10, 1.35), (32, 1.6)]
)
def test_the_spread_that_best_of_k_prefers_is_a_matter_of_k(num_samples, std):
    draws = 20_000
    base, target = torch.randn(draws, num_samples, 1, 1, 1), torch.randn(draws, 1, 1, 1)

    def expected_loss(scale):
        return best_of_k(base * scale, target).mean()

    found = preferred_scale(expected_loss, 'gradient', low=0.3)
    assert found == pytest.approx(std, abs=0.05)


# -- invariants ------------------------------------------------------------------------


@every_one
def test_the_order_of_the_samples_does_not_matter(term):
    samples, noise = batch(5)
    order = torch.randperm(5)
    shuffled = {site: z[:, order] for site, z in noise.items()}
    torch.testing.assert_close(term(samples[:, order], shuffled), term(samples, noise))


@every_one
def test_a_mask_leaves_the_elements_inside(term):
    samples, noise = batch()
    mask = torch.zeros(2, 1, 5, 6)
    mask[:, :, 1:3, 2:6] = 1
    inside = samples[..., 1:3, 2:6]
    expected = term(inside, noise)
    torch.testing.assert_close(term(samples, noise, mask=mask), expected)
    # An image with nothing inside does not count
    mask[1] = 0
    first = {site: z[:1] for site, z in noise.items()}
    if term is mode_seeking:  # one mean over the batch, of the noise as well
        return
    expected = term(inside[:1], first)
    torch.testing.assert_close(term(samples, noise, mask=mask), expected)


def test_a_mask_leaves_the_elements_inside_for_best_of_k():
    samples, target = draw(2, 4, 3, 5, 6), draw(2, 3, 5, 6)
    mask = torch.zeros(2, 1, 5, 6)
    mask[:, :, 1:3, 2:6] = 1
    expected = best_of_k(samples[..., 1:3, 2:6], target[..., 1:3, 2:6])
    torch.testing.assert_close(best_of_k(samples, target, mask), expected)


def test_gradcheck():
    samples, noise = draw(1, 4, 1, 2, 3).requires_grad_(), batch()[1]
    noise = {site: z[:1] for site, z in noise.items()}
    target = draw(1, 1, 2, 3)
    for term in (
        lambda s: mode_seeking(s, noise),
        lambda s: dsgan(s, noise, 0.2),
        lambda s: dsgan(s, noise, 0.2, 'released'),
        lambda s: best_of_k(s, target),
    ):
        assert torch.autograd.gradcheck(term, samples)


@every_one
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_finite_where_samples_coincide(term, dtype):
    samples, noise = batch(4, torch.float32)
    samples[:, 1] = samples[:, 0]
    samples = samples.to(dtype).requires_grad_()
    value = term(samples, {site: z.to(dtype) for site, z in noise.items()})
    assert value.dtype == torch.float32
    value.backward()
    assert samples.grad.isfinite().all()
    assert samples.grad.any()


@every_one
def test_no_pair_of_samples_keeps_an_image(term):
    K, bytes_of_samples = 12, 12 * 3 * 32 * 32 * 4
    samples = torch.randn(1, K, 3, 32, 32, requires_grad=True)
    with saved_bytes() as sizes:
        term(samples, dict(site=torch.randn(1, K, 3, 32, 32)))
    assert sum(sizes) <= 3.1 * bytes_of_samples  # 66 pairs: 5.5 times each kept tensor


@every_one
def test_bad_input_is_refused(term):
    samples, noise = batch()
    with pytest.raises(UserError, match='noise of the samples is needed'):
        term(samples, {})
    with pytest.raises(UserError, match=r"noise of 'map' must .*= \(2, 3\).*\(2, 4, 2"):
        term(samples[:, :3], noise)
    with pytest.raises(UserError, match=r'at least K = .*got K = 1'):
        term(samples[:, :1], noise)
    with pytest.raises(UserError, match=r'mask must have'):
        term(samples, noise, mask=torch.ones(2, 3, 5, 6))
    with pytest.raises(UserError, match="one of 'paper', 'released', got 'unbiased'"):
        dsgan(samples, noise, estimator='unbiased')
