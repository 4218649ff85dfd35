"""The mean over what a mask chooses."""

import numpy as np
import pytest
import torch
from helpers.formulas import draw

from mmagic_mr.functional import (
    masked_mean,
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
