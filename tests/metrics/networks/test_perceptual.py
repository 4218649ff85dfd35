"""LPIPS: the package's own arithmetic, and named as what it is."""

import numpy as np
import pytest
import torch
from helpers.metrics import needs_trunk, random_trunk

from mmagic_mr.metrics.networks.perceptual import (
    KNOWN_ANSWERS,
    PerceptualDistance,
    PixelDistance,
    build_distance,
    known_images,
)
from mmagic_mr.networks import backbone


def test_other_trunks_are_never_called_lpips(tmp_path):
    file = tmp_path / 'mine.safetensors'
    backbone.save_backbone(random_trunk(), file, 'alex', 'a test')
    for distance in (
        PerceptualDistance(backbone='random'),
        PerceptualDistance(backbone=file),
        PixelDistance(),
    ):
        assert 'LPIPS' not in distance.name
        assert distance.network != 'alex v0.1'


def test_building_leaves_the_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    PerceptualDistance(backbone='random')
    assert torch.equal(torch.rand(2), expected)


def test_pairs_equal_the_package_forward():
    distance = PerceptualDistance(backbone='random', chunk=2)
    images = torch.rand(5, 3, 40, 48, generator=torch.manual_seed(0))
    pairs = torch.tensor([[0, 1], [3, 1], [4, 4], [1, 0]])
    with torch.no_grad():
        expected = distance.model(
            2 * images[pairs[:, 0]] - 1, 2 * images[pairs[:, 1]] - 1
        ).flatten()
    torch.testing.assert_close(distance.pairs(images, pairs), expected)
    assert distance.pairs(images, pairs)[2] == 0
    assert distance(images[:1], images[1:2]) == distance.pairs(images, pairs)[0]


def test_mask_averages_the_distance_map():
    distance = PerceptualDistance(backbone='random')
    a, b = torch.rand(2, 1, 3, 64, 64, generator=torch.manual_seed(0))
    left, right = torch.zeros(2, 1, 1, 64, 64)
    left[..., :20], right[..., 20:] = 1, 1
    whole = distance(a, b, torch.ones(1, 1, 64, 64))
    split = (20 * distance(a, b, left) + 44 * distance(a, b, right)) / 64
    torch.testing.assert_close(split, whole)
    assert not torch.isclose(distance(a, b, left), whole)


def test_small_images_and_wrong_names_are_refused():
    distance = PerceptualDistance(backbone='random')
    with pytest.raises(ValueError, match='too small'):
        distance(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16))
    with pytest.raises(ValueError, match='squeeze'):
        PerceptualDistance('squeeze')
    with pytest.raises(ValueError, match=r'0\.2'):
        PerceptualDistance(version='0.2')
    with pytest.raises(ValueError, match='l3'):
        build_distance('l3')


@needs_trunk
def test_known_answers():
    distance = PerceptualDistance()
    a, b = known_images()
    assert distance.name == 'LPIPS'
    assert distance.network == 'alex v0.1'
    assert distance(a, b).item() == pytest.approx(0.4416, abs=1e-3)
    assert distance(a, a.flip(-1)).item() == pytest.approx(0.3992, abs=1e-3)
    assert KNOWN_ANSWERS['alex'] == (0.4416, 0.3992)
    assert PerceptualDistance(version='0.0').network == 'alex v0.0'


@needs_trunk
def test_same_weights_with_other_rounding_are_still_lpips(tmp_path):
    """torchvision's file need not be bit-identical: the known answers decide."""
    state, _ = backbone.load_backbone()
    arrays = {k: v.numpy() * np.float32(1 + 1e-6) for k, v in state.items()}
    backbone.save_backbone(arrays, tmp_path / 'x.safetensors', 'alex', 'a test')
    assert PerceptualDistance(backbone=tmp_path / 'x.safetensors').name == 'LPIPS'
