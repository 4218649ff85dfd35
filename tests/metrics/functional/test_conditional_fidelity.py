"""CFID against its closed forms, and an implementation of its own with SciPy."""

import math

import numpy as np
import pytest
import torch
from scipy import linalg

from mmagic_mr.errors import UserError
from mmagic_mr.metrics.functional.conditional_fidelity import (
    conditional_floor,
    conditional_frechet_distance,
    principal_components,
)
from mmagic_mr.metrics.functional.fidelity import frechet_distance

RHO, N = 0.8, 100_000
REST = math.sqrt(1 - RHO**2)


def noise(*shape, seed=0):
    return torch.randn(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double
    )


def test_one_dimension():
    x, y = noise(N, 1), noise(N, 1, seed=1)
    y = RHO * x + REST * y
    ignored = noise(N, 1, 1, seed=2)
    other = noise(N, 1, seed=3)  # torch-fidelity wants two features at least
    fid = frechet_distance(
        torch.cat([y, other], 1), torch.cat([ignored[:, 0], other], 1)
    )
    assert fid == pytest.approx(0, abs=1e-3)
    exact = RHO * x + REST * ignored[:, 0]
    for fake, distance in (
        (ignored, 2 - 2 * REST),
        (RHO * x[:, None], 1 - RHO**2),
        (exact[:, None], 0),
        (exact[:, None] + 0.5, 0.25),
    ):
        found = conditional_frechet_distance(x, y, fake)
        assert found == pytest.approx(distance, abs=0.01)


def test_more_samples_of_an_input_are_one_law():
    """Samples at mean +- 1 have the variance 1, whatever is between the inputs."""
    x = torch.tensor([-1.0, 1.0] * 500)[:, None]
    y = x + torch.tensor([-1.0, -1.0, 1.0, 1.0] * 250)[:, None]
    fake = x[:, None] + torch.tensor([-1.0, 1.0]).view(1, 2, 1)
    assert conditional_frechet_distance(x, y, fake) == pytest.approx(0, abs=1e-9)
    wider = x[:, None] + torch.tensor([-3.0, 3.0]).view(1, 2, 1)
    assert conditional_frechet_distance(x, y, wider) == pytest.approx(4)


def test_against_scipy():
    """The formula of the paper, with inverse and matrix root as they stand there."""
    x, mix = noise(200, 4), noise(4, 3, seed=1)
    y = x @ mix + noise(200, 3, seed=2)
    fake = 0.5 * x @ mix + 1 + noise(200, 3, seed=3) @ noise(3, 3, seed=4)
    cx, cy, cf = (v.numpy() - v.numpy().mean(0) for v in (x, y, fake))
    inverse = np.linalg.inv(cx.T @ cx)
    across = cy.T @ cx - cf.T @ cx
    rests = [(c.T @ c - c.T @ cx @ inverse @ cx.T @ c) / 200 for c in (cy, cf)]
    expected = (
        ((y.mean(0) - fake.mean(0)) ** 2).sum().item()
        + np.trace(across @ inverse @ across.T) / 200
        + np.trace(rests[0] + rests[1] - 2 * linalg.sqrtm(rests[0] @ rests[1]).real)
    )
    found = conditional_frechet_distance(x, y, fake[:, None])
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(('n', 'known'), [(100, 36.4), (1000, 3.9), (5000, 0.73)])
def test_floor_in_64_dimensions(n, known):
    """Correlation 0.8 in each: what an exact sampler scores, and the floor says."""
    x = noise(n, 64)

    def answer(seed):
        return RHO * x + REST * noise(n, 64, seed=seed)

    y = answer(1)
    score = conditional_frechet_distance(x, y, answer(2)[:, None])
    assert score == pytest.approx(known, rel=0.1)
    floor = conditional_floor(x, y, rounds=3)
    assert floor.mean == pytest.approx(score, rel=0.1)
    assert floor.mean <= floor.high < 1.1 * floor.mean


def test_floor_falls_with_more_samples_of_an_input():
    x = noise(200, 8)
    y = x + noise(200, 8, seed=1)
    one, four = (conditional_floor(x, y, samples).mean for samples in (1, 4))
    drawn = [x[:, None] + noise(200, 4, 8, seed=seed) for seed in range(2, 22)]
    scores = [conditional_frechet_distance(x, y, fake) for fake in drawn]
    assert np.mean(scores) == pytest.approx(four, rel=0.15)
    assert 0.55 < four / one < 0.75


def test_rotation_of_features_does_not_matter():
    x, y, fake = noise(50, 3), noise(50, 4, seed=1), noise(50, 2, 4, seed=2)
    turn, _ = torch.linalg.qr(noise(4, 4, seed=3))
    found = conditional_frechet_distance(x, y, fake)
    turned = conditional_frechet_distance(x * 7 - 1, y @ turn, fake @ turn)
    assert turned == pytest.approx(found, rel=1e-9)
    real, drawn = principal_components(y, 4, fake)
    assert conditional_frechet_distance(x, real, drawn) == pytest.approx(found)


def test_principal_components_lead():
    spread = torch.tensor([0.1, 5.0, 1.0])
    real = noise(500, 3) * spread
    parts, again = principal_components(real, 2, real)
    torch.testing.assert_close(parts, again)
    largest = real.std(0).sort(descending=True).values[:2]
    torch.testing.assert_close(parts.std(0), largest, rtol=0.01, atol=0)


def test_too_few_inputs_and_bad_features_are_refused():
    with pytest.raises(UserError, match=r'5 inputs and 4 features.*more than 5'):
        conditional_frechet_distance(noise(5, 4), noise(5, 1), noise(5, 1, 1))
    with pytest.raises(UserError, match='not finite'):
        conditional_frechet_distance(
            noise(9, 1), noise(9, 1), torch.full((9, 1, 1), torch.nan)
        )
    with pytest.raises(ValueError, match=r'\(N, m, D\)'):
        conditional_frechet_distance(noise(9, 1), noise(9, 1), noise(9, 1))
