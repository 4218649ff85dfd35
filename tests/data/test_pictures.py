"""Picture files of every kind become 8-bit RGB, or are refused by name."""

import numpy as np
import pytest
from PIL import Image

from mmagic_mr.data.pictures import read_rgb

GRAYS = np.linspace(0, 65535, 12).astype(np.uint16).reshape(3, 4)


def expected(grays):
    """0..65535 to 0..255, the three channels alike."""
    return np.rint(grays / 257).astype(np.uint8)[..., None].repeat(3, 2)


@pytest.mark.parametrize('suffix', ['png', 'tif'])
def test_16_bits_are_scaled_to_8(tmp_path, suffix):
    path = tmp_path / f'deep.{suffix}'
    Image.fromarray(GRAYS).save(path)
    np.testing.assert_array_equal(np.asarray(read_rgb(path)), expected(GRAYS))


@pytest.mark.parametrize('values', [np.float32([[0, 0.5]]), np.int32([[0, 70000]])])
def test_numbers_of_unknown_range_are_refused(tmp_path, values):
    Image.fromarray(values).save(tmp_path / 'numbers.tif')
    with pytest.raises(ValueError, match=r'numbers\.tif .*range'):
        read_rgb(tmp_path / 'numbers.tif')


def test_transparency_is_refused_and_opacity_is_not(tmp_path):
    colors = np.random.default_rng(0).integers(0, 256, (3, 4, 4), dtype=np.uint8)
    colors[..., 3] = 255
    path = tmp_path / 'alpha.png'
    Image.fromarray(colors).save(path)
    np.testing.assert_array_equal(np.asarray(read_rgb(path)), colors[..., :3])
    colors[1, 1, 3] = 254
    Image.fromarray(colors).save(path)
    with pytest.raises(ValueError, match=r'alpha\.png has transparent pixels'):
        read_rgb(path)


def test_transparency_of_a_palette_is_seen(tmp_path):
    picture = Image.fromarray(np.uint8([[0, 1]]), 'P')
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.save(tmp_path / 'opaque.png')
    np.testing.assert_array_equal(
        np.asarray(read_rgb(tmp_path / 'opaque.png')), [[[255, 0, 0], [0, 255, 0]]]
    )
    picture.save(tmp_path / 'clear.png', transparency=1)
    with pytest.raises(ValueError, match=r'clear\.png has transparent pixels'):
        read_rgb(tmp_path / 'clear.png')


def test_a_picture_stands_as_its_camera_was_held(tmp_path):
    picture = Image.fromarray(np.zeros((8, 16, 3), np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    picture.save(tmp_path / 'turned.jpg', exif=exif)
    assert read_rgb(tmp_path / 'turned.jpg').size == (8, 16)
