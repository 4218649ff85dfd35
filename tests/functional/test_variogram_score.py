"""The variogram score against another library, closed forms and hand numbers."""

import inspect
import math

import numpy as np
import pytest
import scoringrules
import torch
from helpers.formulas import draw, preferred_scale
from helpers.memory import saved_bytes

from mmagic_mr.errors import UserError
from mmagic_mr.functional import neighbors, variogram_score


@pytest.mark.skipif(
    'w' not in inspect.signature(scoringrules.vs_ensemble).parameters,
    reason='scoringrules 0.9, the last one for Python 3.10, takes no weights',
)
@pytest.mark.parametrize('p', [0.5, 1.0, 2.0])
@pytest.mark.parametrize('fair', [True, False])
def test_it_equals_scoringrules(p, fair):
    samples, target = draw(3, 5, 1, 1, 6), draw(3, 1, 1, 6)
    scores = variogram_score(samples, target, (0, 2), p, fair)
    weights = np.zeros((3, 6, 6))
    weights[:, range(4), range(2, 6)] = 1
    expected = scoringrules.vs_ensemble(
        target.flatten(1).numpy(),
        samples.flatten(2).numpy(),
        weights,
        p=p,
        estimator='fair' if fair else 'nrg',
        backend='numpy',
    )
    assert scores.shape == (3, 1, 1, 4)
    np.testing.assert_allclose(scores.flatten(1).sum(1), expected, rtol=1e-9)


def test_two_samples_by_hand():
    # Differences 1 and 3 of the samples, 4 of the data; their variance is 2.
    samples = torch.tensor([[0.0, 1.0], [5.0, 2.0]]).reshape(1, 2, 1, 2, 1)
    target = torch.tensor([0.0, -4.0]).reshape(1, 1, 2, 1)
    score = variogram_score(samples, target, (1, 0), 1.0)
    assert score.item() == pytest.approx((4 - 2) ** 2 - 2 / 2, abs=1e-6)
    score = variogram_score(samples, target, (1, 0), 2.0)
    assert score.item() == pytest.approx((16 - 5) ** 2 - 32 / 2, abs=1e-5)


@pytest.mark.parametrize('offset', [(0, 1), (2, 0), (1, 2), (1, -2)])
def test_neighbors_are_where_the_offset_says(offset):
    rows, columns = offset
    image = torch.arange(30.0).view(1, 1, 5, 6)
    first, second = neighbors(image, offset)
    expected = [
        (image[0, 0, i, j], image[0, 0, i + rows, j + columns])
        for i in range(5 - rows)
        for j in range(6)
        if 0 <= j + columns < 6
    ]
    pairs = torch.stack([first.flatten(), second.flatten()], dim=1)
    assert torch.equal(pairs, torch.tensor(expected))


@pytest.mark.parametrize('num_samples', [2, 4, 10])
def test_plain_minus_fair_is_the_variance_of_the_mean(num_samples):
    samples, target = draw(2, num_samples, 3, 4, 5), draw(2, 3, 4, 5)
    plain = variogram_score(samples, target, fair=False)
    fair = variogram_score(samples, target)
    differences = (samples[..., 1:] - samples[..., :-1]).abs() ** 0.5
    torch.testing.assert_close(plain - fair, differences.var(1) / num_samples)


@pytest.mark.parametrize('num_samples', [2, 4])
def test_fair_is_that_of_the_law_whatever_k(num_samples):
    # E |s_i - s_j| of independent standard normal neighbors is 2 / sqrt(pi).
    samples = torch.randn(1, num_samples, 1, 200_000, 2)
    target = torch.tensor([0.0, 3.0]).expand(1, 1, 200_000, 2)
    score = variogram_score(samples, target, p=1.0).mean().item()
    assert score == pytest.approx((3 - 2 / math.sqrt(math.pi)) ** 2, abs=0.02)


@pytest.mark.parametrize('fair', [True, False])
def test_it_is_blind_to_the_mean_and_to_the_sign(fair):
    samples, target = draw(2, 4, 3, 4, 5), draw(2, 3, 4, 5)
    score = variogram_score(samples, target, fair=fair)
    for other in (samples + 7, -samples, samples + draw(2, 4, 1, 1, 1)):
        same = variogram_score(other, target, fair=fair)
        torch.testing.assert_close(same, score, rtol=0, atol=1e-9)


def test_it_sees_neighbors_that_go_together():
    """An AR(1) field of correlation 0.9, K = 4; the other sampler's pixels are free."""
    innovation, field = torch.randn(5, 20_000, 16), torch.empty(5, 20_000, 16)
    field[..., 0] = innovation[..., 0]
    for i in range(1, 16):
        field[..., i] = 0.9 * field[..., i - 1] + 0.19**0.5 * innovation[..., i]
    target, right = field[4][:, None, None], field[:4].movedim(0, 1)[:, :, None, None]
    free = torch.randn_like(right)
    # With p = 1 the least is the variance of |y_i - y_j|, of a difference of variance
    # 0.2; free pixels have one of variance 2, and miss its mean.
    least = 0.2 * (1 - 2 / math.pi)
    worse = least + (2 / math.pi) * (2**0.5 - 0.2**0.5) ** 2
    for samples, expected in ((right, least), (free, worse)):
        score = variogram_score(samples, target, p=1.0).mean().item()
        assert score == pytest.approx(expected, rel=0.05)
    assert (least, worse) == pytest.approx((0.07, 0.67), abs=0.005)


@pytest.mark.parametrize('num_samples', [2, 4, 10])
@pytest.mark.parametrize('p', [0.5, 1.0])
@pytest.mark.parametrize('fair', [True, False])
def test_variance_preferred_for_gaussian_data(num_samples, p, fair):
    draws = 400_000 // num_samples
    base = torch.randn(1, num_samples, 1, draws, 2)
    target = torch.randn(1, 1, draws, 2)

    def expected_loss(scale):
        return variogram_score(base * scale, target, (0, 1), p, fair).mean()

    def absolute_moment(power):
        return 2 ** (power / 2) * math.gamma((power + 1) / 2) / math.sqrt(math.pi)

    square = absolute_moment(p) ** 2
    variance = absolute_moment(2 * p) - square
    expected = 1 if fair else (square / (square + variance / num_samples)) ** (2 / p)
    found = preferred_scale(expected_loss, 'gradient') ** 2
    assert found == pytest.approx(expected, abs=0.03)
    if p == 0.5 and not fair:
        stated = {2: 0.71, 4: 0.84, 10: 0.93}[num_samples]
        assert expected == pytest.approx(stated, abs=0.005)


@pytest.mark.parametrize('p', [0.5, 1.0, 2.0])
@pytest.mark.parametrize('fair', [True, False])
def test_gradcheck(p, fair):
    inputs = draw(1, 3, 1, 2, 3).requires_grad_(), draw(1, 1, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s, y: variogram_score(s, y, (1, -1), p, fair), inputs
    )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_gradients_are_finite_where_neighbors_are_equal(dtype):
    samples = torch.randn(2, 4, 3, 6, 6)
    samples[..., 1] = samples[..., 0]
    samples[:, 0] = 1.0
    samples = samples.to(dtype).requires_grad_()
    score = variogram_score(samples, samples[:, 1].detach())
    assert score.dtype == torch.float32
    score.mean().backward()
    assert score.isfinite().all()
    assert samples.grad.isfinite().all()
    assert samples.grad[:, 1:].any()


def test_the_order_of_the_samples_does_not_matter():
    samples, target = draw(2, 5, 3, 6, 6), draw(2, 3, 6, 6)
    torch.testing.assert_close(
        variogram_score(samples[:, torch.randperm(5)], target),
        variogram_score(samples, target),
    )


def test_memory_is_that_of_a_few_times_the_samples():
    samples = torch.randn(1, 12, 3, 32, 32, requires_grad=True)
    with saved_bytes() as sizes:
        variogram_score(samples, torch.randn(1, 3, 32, 32))
    assert sum(sizes) <= 5 * 12 * 3 * 32 * 32 * 4


def test_bad_input_is_refused():
    samples, target = draw(2, 4, 3, 4, 5), draw(2, 3, 4, 5)
    for p in (0, -1.0, float('inf')):
        with pytest.raises(UserError, match=r'p must be .*got'):
            variogram_score(samples, target, p=p)
    for offset in ((0, 0), (-1, 1), (0, -1)):
        with pytest.raises(UserError, match=r'an offset must be .*rows above 0'):
            variogram_score(samples, target, offset)
    with pytest.raises(UserError, match=r'offset \(4, 0\) leads out of images of 4 x'):
        variogram_score(samples, target, (4, 0))
    with pytest.raises(UserError, match=r'at least K = 2 .*got K = 1'):
        variogram_score(samples[:, :1], target)
