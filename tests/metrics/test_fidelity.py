"""Fidelity on features with a known answer, and on files that are really loaded."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from mmagic_mr.metrics.functional.fidelity import (
    Extractor,
    best_and_mean,
    density_coverage,
    frechet_distance,
    kernel_distance,
    low_resolution_psnr,
    precision_recall,
    psnr,
)
from mmagic_mr.metrics.networks import backbone

needs_trunk = pytest.mark.skipif(
    not backbone.backbone_path().is_file(),
    reason=f'no LPIPS trunk here; get it with: {backbone.FETCH}',
)


def features(count, dim=4, mean=0.0, std=1.0, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return mean + std * torch.randn(count, dim, generator=rng, dtype=torch.float64)


def test_frechet_distance_of_normal_distributions():
    """Diagonal covariances: |m|^2 + sum (s1 - s2)^2, here with the exact moments."""
    raw = features(500)
    raw -= raw.mean(0)
    white = raw @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(raw.T))).T
    found = frechet_distance(white, 3 * white + torch.tensor([1.0, 2, 0, 0]))
    assert found == pytest.approx(5 + 4 * 4, rel=1e-6)
    assert frechet_distance(raw, raw) == pytest.approx(0, abs=1e-6)


def test_kernel_distance_by_hand():
    """Unbiased MMD^2 with (x.y/D + 1)^3, written out."""
    real, fake = features(12), features(12, mean=1, seed=1)

    def kernel(a, b):
        return (a @ b.T / 4 + 1) ** 3

    def off_diagonal(k):
        return (k.sum() - k.diagonal().sum()) / (12 * 11)

    expected = (
        off_diagonal(kernel(real, real))
        + off_diagonal(kernel(fake, fake))
        - 2 * kernel(real, fake).mean()
    )
    mean, std = kernel_distance(real, fake)
    assert mean == pytest.approx(expected.item())
    assert std == 0
    assert kernel_distance(real, fake, subset_size=8, subsets=5)[1] > 0


def _reference(real, fake, k):
    """Precision, recall, density, coverage from their definitions, with loops."""
    real, fake = real.numpy(), fake.numpy()

    def radius(points, i):
        return sorted(np.linalg.norm(points[i] - p) for p in points)[k]

    def inside(centers, radii, p):
        return [np.linalg.norm(c - p) <= r for c, r in zip(centers, radii, strict=True)]

    real_radii = [radius(real, i) for i in range(len(real))]
    fake_radii = [radius(fake, i) for i in range(len(fake))]
    in_real = np.array([inside(real, real_radii, f) for f in fake])
    in_fake = np.array([inside(fake, fake_radii, r) for r in real])
    return (
        in_real.any(1).mean(),
        in_fake.any(1).mean(),
        in_real.sum() / (k * len(fake)),
        in_real.any(0).mean(),
    )


@pytest.mark.parametrize(('mean', 'std'), [(0, 1), (0.7, 0.5), (0, 2)])
def test_neighbour_metrics_from_their_definitions(mean, std):
    real, fake = features(40), features(30, mean=mean, std=std, seed=1)
    precision, recall, density, coverage = _reference(real, fake, 3)
    assert precision_recall(real, fake, 3) == pytest.approx((precision, recall))
    assert density_coverage(real, fake, 3) == pytest.approx((density, coverage))
    assert 0 < coverage < 1 or std == 2


def test_density_coverage_of_the_same_distribution():
    """Expected: density 1, and coverage close to 1 - 2^-k."""
    found = [
        density_coverage(features(300, seed=2 * s), features(300, seed=2 * s + 1), 5)
        for s in range(4)
    ]
    density, coverage = np.mean(found, 0)
    assert density == pytest.approx(1, abs=0.06)
    assert coverage == pytest.approx(1 - 2**-5, abs=0.015)


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


def test_torchscript_file_is_the_extractor(tmp_path):

    class Mean(nn.Module):
        def forward(self, x):
            return x.to(torch.float32).mean((2, 3))

    file = tmp_path / 'my-net.pt'
    torch.jit.script(Mean()).save(str(file))
    images = torch.rand(5, 3, 8, 8, generator=torch.manual_seed(0))
    extractor = Extractor('torchscript', path=file, chunk=2)
    expected = (images * 255).round().mean((2, 3))
    torch.testing.assert_close(extractor(images), expected.double())
    assert extractor.name.startswith('my-net-')
    signed = Extractor('torchscript', path=file, input='-1..1', size=4)
    torch.testing.assert_close(
        signed(images), (2 * images - 1).mean((2, 3)).double(), atol=0.05, rtol=0
    )


def test_stand_in_says_so_and_leaves_the_random_state():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    extractor = Extractor('random')
    assert torch.equal(torch.rand(1), expected)
    assert 'stand-in' in extractor.name
    images = torch.rand(3, 3, 32, 32)
    assert torch.equal(extractor(images), Extractor('random')(images))


@needs_trunk
def test_alexnet_features_are_those_of_the_lpips_trunk():
    from mmagic_mr.metrics.networks.perceptual import PerceptualDistance

    images = torch.rand(2, 3, 64, 64, generator=torch.manual_seed(0))
    model = PerceptualDistance().model
    with torch.no_grad():
        last = model.net(model.scaling_layer(2 * images - 1))[-1].mean((2, 3))
    extractor = Extractor('alex')
    # lpips rounds ImageNet's constants to three digits in [-1, 1].
    torch.testing.assert_close(extractor(images), last.double(), atol=5e-3, rtol=1e-2)
    assert extractor.name == 'alexnet-conv5-mean'


def test_bad_input_is_named(tmp_path):
    with pytest.raises(ValueError, match='inception'):
        Extractor('inception')
    with pytest.raises(FileNotFoundError, match=r'torch\.jit'):
        Extractor('torchscript', path=tmp_path / 'none.pt')
    with pytest.raises(ValueError, match='bgr'):
        Extractor('random', input='bgr')
    with pytest.raises(ValueError, match='3 fake'):
        density_coverage(features(10), features(3), 5)
    with pytest.raises(ValueError, match='finite'):
        frechet_distance(features(4), features(4) * math.nan)
    with pytest.raises(ValueError, match=r'\(4, 2\)'):
        frechet_distance(features(4), features(4, dim=2))
