"""A number that no loss can work with is refused when the loss is built."""

import math

import pytest

from mmagic_mr import losses
from mmagic_mr.errors import UserError


@pytest.mark.parametrize('name', ['MRLoss', 'ProxyMRLoss', 'MomentNLLLoss'])
@pytest.mark.parametrize('weight', [-1.0, math.nan, math.inf, 'much'])
def test_a_weight_that_is_no_weight(name, weight):
    with pytest.raises(UserError, match=rf'loss_weight must .*got {weight!r}'):
        getattr(losses, name)(loss_weight=weight)


@pytest.mark.parametrize('name', ['MRLoss', 'MomentNLLLoss'])
@pytest.mark.parametrize('noise', [-0.01, math.nan, math.inf])
def test_a_noise_that_is_no_variance(name, noise):
    with pytest.raises(UserError, match=rf'min_noise must .*got {noise!r}'):
        getattr(losses, name)(min_noise=noise)


@pytest.mark.parametrize('name', ['MRLoss', 'ProxyMRLoss'])
@pytest.mark.parametrize('scale', [0, -1.0, math.nan, math.inf])
def test_a_scale_that_is_no_scale(name, scale):
    with pytest.raises(UserError, match=rf'value_scale must .*got {scale!r}'):
        getattr(losses, name)(value_scale=scale)
