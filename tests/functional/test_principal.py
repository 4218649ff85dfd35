"""What pcaGAN adds, against a singular value decomposition and exact samplers."""

import pytest
import torch
from helpers.formulas import draw, preferred_scale

from mmagic_mr.errors import UserError
from mmagic_mr.functional import pcagan, principal_terms
from mmagic_mr.functional.principal import principal_directions, variance_error


@pytest.mark.parametrize('dim', [3, 40])
def test_directions_are_those_of_a_singular_value_decomposition(dim):
    rows = draw(4, 6, dim)
    components = min(dim, 5)
    found = principal_directions(rows, components)
    _, _, expected = torch.linalg.svd(rows - rows.mean(1, keepdim=True))
    agreement = (found * expected[:, :components]).sum(-1).abs()
    torch.testing.assert_close(agreement, torch.ones_like(agreement))
    gram = found @ found.mT
    torch.testing.assert_close(gram, torch.eye(components).double().expand_as(gram))


def test_gradcheck_of_the_directions():
    rows, probe = draw(2, 5, 7).requires_grad_(), draw(2, 7)

    def projections(rows):
        return (principal_directions(rows, 2) * probe.unsqueeze(1)).sum(-1).square()

    assert torch.autograd.gradcheck(projections, rows, rtol=1e-4)


def test_gradcheck_of_explained_and_variance():
    samples, target = draw(2, 8, 1, 2, 3).requires_grad_(), draw(2, 1, 2, 3)
    assert torch.autograd.gradcheck(
        lambda s: principal_directions(s.flatten(2), 1).square(), samples, rtol=1e-4
    )
    # Explained takes the mean for a constant
    mean = samples.detach().mean(1, keepdim=True)
    assert torch.autograd.gradcheck(
        lambda s: (
            principal_terms(s - s.mean(1, keepdim=True) + mean, target, 2).explained
        ),
        samples,
        rtol=1e-4,
    )


def gaussian(dim, num_samples, draws):
    """Samples and data of one law, whose first variances are 9 and 4."""
    scale = torch.ones(dim)
    scale[:2] = torch.tensor([3.0, 2.0])
    both = scale * torch.randn(draws, num_samples + 1, dim)
    rows, target = both.tensor_split([num_samples], dim=1)
    return rows.view(draws, num_samples, 1, 1, dim), target.view(draws, 1, 1, dim)


@pytest.mark.parametrize('dim', [2, 5, 100])
@pytest.mark.parametrize('num_samples', [6, 20])
def test_an_exact_sampler_has_the_ratio_1(dim, num_samples):
    samples, target = gaussian(dim, num_samples, 4_000)
    terms = principal_terms(samples, target, 2)
    ratio = terms.residual.mean(0) / terms.variance.mean(0)
    torch.testing.assert_close(ratio, torch.ones(2), rtol=0, atol=0.08)
    reward = terms.explained.mean().item()
    assert pcagan(samples, target, 2).item() == pytest.approx(-reward, abs=0.01)


def test_the_authors_ratio_for_an_exact_sampler_is_1_over_k():
    samples, target = gaussian(2, 20, 5_000)
    rows = samples.flatten(2) - samples.flatten(2).mean(1, keepdim=True)
    _, values, directions = torch.linalg.svd(rows)
    # Their d is a mean over the samples, and y in place of one
    rows[:, 0] = target.flatten(1) - samples.flatten(2).mean(1)
    found = (rows @ directions.mT).square().mean(1) / values.square()
    assert found.mean(0)[0].item() == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize('num_samples', [4, 10])
def test_variance_preferred_for_gaussian_data(num_samples):
    base, target = torch.randn(4_000, num_samples, 1, 1, 1), torch.randn(4_000, 1, 1, 1)

    def expected_loss(scale):
        return pcagan(base * scale, target)

    variance = preferred_scale(expected_loss, 'gradient') ** 2
    assert variance == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize('num_inputs', [1, 8])
def test_few_inputs_prefer_little_more(num_inputs):
    """Not three times the variance, as the square of the ratio of a single y does."""
    base, target = torch.randn(2, 160_000, 10), torch.randn(160_000)

    def expected_loss(scale):
        # `principal_terms` in one dimension, where there is one direction
        mean, variance = scale * base.mean(-1), scale**2 * base.var(-1)
        residual = (target - mean).square().detach() * 10 / 11
        groups = (part.mean(0).view(-1, num_inputs, 1) for part in (variance, residual))
        return variance_error(*groups).mean()

    expected = {1: 0.92, 8: 1.02}[num_inputs]
    found = preferred_scale(expected_loss, 'gradient') ** 2
    assert found == pytest.approx(expected, abs=0.05)


def test_the_reward_turns_the_samples_to_the_error():
    # One long axis, and an error at 45 degrees to it.
    samples = torch.tensor([[3.0, 0.1], [-3.0, 0.1], [1.0, -0.1], [-1.0, -0.1]])
    samples = samples.view(1, 4, 1, 1, 2).requires_grad_()
    target = torch.tensor([1.0, 1.0]).view(1, 1, 1, 2)
    explained = principal_terms(samples, target).explained
    assert explained.item() == pytest.approx(0.5, abs=0.01)
    (grad,) = torch.autograd.grad(explained.sum(), samples)
    turned = samples.detach() + 0.1 * grad
    assert principal_terms(turned, target).explained.item() > explained.item()
    # The mean is left alone
    torch.testing.assert_close(grad.mean(1), torch.zeros(1, 1, 1, 2), rtol=0, atol=1e-6)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_values_and_gradients_are_bounded_at_collapse(dtype):
    target = torch.randn(2, 3, 4, 4)
    for spread in (0.0, 1e-6, 1e-3):
        samples = spread * torch.randn(2, 8, 3, 4, 4)
        samples = samples.to(dtype).requires_grad_()
        loss = pcagan(samples, target, 2)
        loss.backward()
        assert loss.dtype == torch.float32
        assert abs(loss.item()) <= 16 * 2 + 1
        assert samples.grad.isfinite().all()
    # Towards more spread, where there is some
    along = (samples.grad * samples.detach()).sum().item()
    assert along < 0


def test_the_gradient_of_the_variance_is_that_of_the_numerator():
    samples, target = draw(3, 8, 1, 1, 1).requires_grad_(), draw(3, 1, 1, 1)
    (grad,) = torch.autograd.grad(pcagan(samples, target), samples)
    variance, residual = (x.sum(0) for x in principal_terms(samples, target)[1:])
    scale = torch.maximum(variance, residual / 4).detach()
    (expected,) = torch.autograd.grad(
        ((variance - residual.detach()) / scale).square().sum(), samples
    )
    torch.testing.assert_close(grad, expected)


def test_a_mask_leaves_the_elements_inside():
    samples, target = draw(2, 8, 3, 5, 6), draw(2, 3, 5, 6)
    mask = torch.zeros(2, 1, 5, 6)
    mask[:, :, 1:3, 2:6] = 1
    expected = pcagan(samples[..., 1:3, 2:6], target[..., 1:3, 2:6], 2)
    torch.testing.assert_close(pcagan(samples, target, 2, mask), expected)
    mask[1] = 0
    expected = pcagan(samples[:1, ..., 1:3, 2:6], target[:1, ..., 1:3, 2:6], 2)
    torch.testing.assert_close(pcagan(samples, target, 2, mask), expected)


def test_order_within_the_halves_and_units_do_not_matter():
    samples, target = draw(2, 8, 3, 4, 4), draw(2, 3, 4, 4)
    loss = pcagan(samples, target, 2)
    shuffled = samples[:, [4, 5, 6, 7, 1, 0, 3, 2]]
    torch.testing.assert_close(pcagan(shuffled, target, 2), loss)
    torch.testing.assert_close(pcagan(3 * samples + 2, 3 * target + 2, 2), loss)


def test_autocast_changes_nothing():
    samples, target = torch.randn(2, 8, 3, 4, 4), torch.randn(2, 3, 4, 4)
    loss = pcagan(samples, target, 2)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert pcagan(samples, target, 2).item() == loss.item()


def test_bad_input_is_refused():
    samples, target = draw(2, 5, 3, 4, 5), draw(2, 3, 4, 5)
    with pytest.raises(UserError, match=r'2 component.* at least K = 6 .*got K = 5'):
        pcagan(samples, target, 2)
    with pytest.raises(UserError, match=r'mask must have .*got \(2, 3, 4, 5\)'):
        pcagan(samples, target, 1, torch.ones(2, 3, 4, 5))
