"""The demo's scenes against their closed-form distribution."""

import json

import numpy as np
import pytest
from PIL import Image

from mmagic_mr.data.synthetic import scenes


def test_photos_have_the_stated_moments():
    labels, rng, count = scenes.scene_labels(4), np.random.default_rng(0), 8000
    looks = rng.integers(4, size=count)
    photos = np.stack([scenes.take_photo(labels, m, rng) for m in looks])
    photos = photos.transpose(0, 3, 1, 2) / 255
    truth = scenes.scene_truth(labels)
    sigma = np.sqrt(truth.var)
    error = (photos.mean(0) - truth.mean) / sigma
    assert np.abs(error).max() < 6 / np.sqrt(count)
    # Four modes: the variance estimate strays by no more than sigma^2 sqrt(2 / n).
    ratio = photos.var(0, ddof=1) / truth.var
    assert np.abs(ratio - 1).max() < 6 * np.sqrt(2 / count)


def test_noise_around_a_mode_is_small_unclipped_and_as_stated():
    labels, rng = scenes.scene_labels(7), np.random.default_rng(1)
    modes = scenes.look_photos(labels)
    for look in range(4):
        photos = np.stack([scenes.take_photo(labels, look, rng) for _ in range(400)])
        rest = photos.transpose(0, 3, 1, 2) / 255 - modes[look]
        stated = scenes.CAMERA_NOISE**2 + (1 / 255) ** 2 / 12
        assert rest.var() == pytest.approx(stated, rel=0.02)
        in_truth = scenes.scene_truth(labels).var - modes.var(0)
        assert in_truth == pytest.approx(rest.var(), rel=0.02)
        assert abs(rest.mean()) < 1e-4
    for index in range(200):
        modes = scenes.look_photos(scenes.scene_labels(index)) * 255
        assert modes.min() > 12
        assert modes.max() < 255 - 12


def test_the_four_looks_lie_far_apart_everywhere():
    for index in range(50):
        truth = scenes.scene_truth(scenes.scene_labels(index))
        between = np.sqrt(
            ((truth.modes[:, None] - truth.modes[None]) ** 2).mean((2, 3, 4))
        )[np.triu_indices(4, 1)]
        assert between.min() > 10 * scenes.CAMERA_NOISE
        assert np.sqrt(truth.var.min()) > 0.05


@pytest.mark.parametrize('size', [16, 32, 64])
def test_label_pictures_read_back(size):
    labels = scenes.scene_labels(11, size=size)
    assert labels.shape == (size, size)
    np.testing.assert_array_equal(
        scenes.read_labels(scenes.paint_labels(labels)), labels
    )


def test_every_class_occurs_and_scenes_differ():
    maps = [scenes.scene_labels(i) for i in range(64)]
    counts = np.bincount(np.stack(maps).ravel(), minlength=len(scenes.CLASSES))
    assert (counts > 0.005 * counts.sum()).all()
    assert len({m.tobytes() for m in maps}) == 64


def test_files_hold_photo_and_label_and_their_truth(tmp_path):
    root = scenes.write_pairs(tmp_path / 'demo', num_train=6, num_val=3, seed=5)
    files = sorted((root / 'val').glob('*.png'))
    assert [f.name for f in files] == ['00000.png', '00001.png', '00002.png']
    for file in files:
        pair = np.asarray(Image.open(file))
        assert pair.shape == (32, 64, 3)
        truth = scenes.truth_of_pair(file)
        photo_bgr = pair[:, :32, ::-1].transpose(2, 0, 1)
        from_modes = np.sqrt(((truth.modes - photo_bgr) ** 2).mean((1, 2, 3)))
        assert from_modes.min() == pytest.approx(
            (0.25 + 1 / 12) ** 0.5, rel=0.1
        )  # the camera noise
        np.testing.assert_allclose(truth.mean, truth.modes.mean(0))


def test_looks_are_equally_likely_in_the_files(tmp_path):
    root = scenes.write_pairs(tmp_path, num_train=200, num_val=1)
    drawn = []
    for file in (root / 'train').glob('*.png'):
        photo = np.asarray(Image.open(file))[:, :32, ::-1].transpose(2, 0, 1)
        drawn.append(
            ((scenes.truth_of_pair(file).modes - photo) ** 2).mean((1, 2, 3)).argmin()
        )
    # chi-square with three degrees of freedom: 16.3 is passed once in a thousand.
    counts = np.bincount(drawn, minlength=4)
    assert ((counts - 50) ** 2 / 50).sum() < 16.3


def test_writing_again_does_nothing_and_another_set_replaces_it(tmp_path):
    scenes.write_pairs(tmp_path, num_train=4, num_val=2)
    first = tmp_path / 'train' / '00000.png'
    stamp = first.stat().st_mtime_ns
    scenes.write_pairs(tmp_path, num_train=4, num_val=2)
    assert first.stat().st_mtime_ns == stamp
    scenes.write_pairs(tmp_path, num_train=2, num_val=2, seed=1)
    assert len(list((tmp_path / 'train').iterdir())) == 2
    assert json.loads((tmp_path / 'scenes.json').read_text())['seed'] == 1


def test_bad_input_is_named():
    with pytest.raises(ValueError, match='size is 8'):
        scenes.scene_labels(0, size=8)
    with pytest.raises(ValueError, match=r'color \(1, 2, 3\) at row 0, column 1'):
        scenes.read_labels(np.array([[(70, 130, 180), (1, 2, 3)]], dtype=np.uint8))
