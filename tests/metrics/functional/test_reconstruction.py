"""PSNR by hand and against other libraries."""

import numpy as np
import pytest
import torch
from torch import nn

from mmagic_mr.metrics.functional.reconstruction import (
    best_and_mean,
    low_resolution_psnr,
    psnr,
)


def test_psnr_by_hand_and_cap():
    target = torch.zeros(3, 4, 4)
    images = torch.stack([target, target + 0.1, target + 1])
    torch.testing.assert_close(
        psnr(images, target), torch.tensor([100.0, 20, 0]), atol=1e-4, rtol=0
    )


def test_psnr_agrees_with_scikit_image():
    metrics = pytest.importorskip('skimage.metrics')
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 3, 32, 32))
    expected = metrics.peak_signal_noise_ratio(a, b, data_range=1)
    found = psnr(torch.from_numpy(a)[None], torch.from_numpy(b)).item()
    assert found == pytest.approx(expected, rel=1e-6)


def test_low_resolution_psnr_sees_the_mean_not_the_details():
    low = torch.linspace(0.25, 0.75, 8).expand(3, 8, 8)
    plain = nn.functional.interpolate(low[None], (32, 32), mode='bicubic').clamp(0, 1)
    checks = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(16, 16) * 0.1
    found = low_resolution_psnr(torch.cat([plain + checks, plain + 0.1]), low)
    assert found[0] > 40
    assert found[1] == pytest.approx(20, abs=1.5)
    assert found[0] == pytest.approx(low_resolution_psnr(plain, low).item(), abs=0.5)
    with pytest.raises(ValueError, match='not smaller'):
        low_resolution_psnr(low[None], low)


def test_low_resolution_matches_pillow():
    image_module = pytest.importorskip('PIL.Image')
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    small = image_module.fromarray(pixels).resize((8, 8), image_module.BICUBIC)
    low = torch.from_numpy(np.array(small)).permute(2, 0, 1) / 255
    high = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    assert low_resolution_psnr(high, low).item() > 50  # rounding to 8 bits alone


def test_best_and_mean():
    values = torch.tensor([1.0, 2.0, 6.0])
    assert best_and_mean(values, True) == (6, 3)
    assert best_and_mean(values, False) == (1, 3)
