"""What the tests of the formulas share: every variant, evaluated on random data."""

import itertools

import pytest
import torch
from scipy import optimize

from mmagic_mr.functional import Moments, mr_loss, proxy_mr_loss

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


def preferred_scale(expected_loss, by, low=0.5):
    def value(scale):
        with torch.no_grad():
            return expected_loss(scale).item()

    def slope(scale):
        scale = torch.tensor(scale, requires_grad=True)
        return torch.autograd.grad(expected_loss(scale), scale)[0].item()

    if by == 'gradient':
        return optimize.brentq(slope, low, 2, xtol=1e-3)
    options = {'xatol': 2e-3}
    return optimize.minimize_scalar(
        value, bounds=(low, 2), method='bounded', options=options
    ).x
