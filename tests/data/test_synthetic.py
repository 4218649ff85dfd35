"""Data of the SR and the inpainting demo against their closed-form distribution."""

import json

import numpy as np
import pytest
from PIL import Image

from mmagic_mr.data.synthetic import inpaint, sr
from mmagic_mr.data.synthetic.scenes import CAMERA_NOISE
from mmagic_mr.data.synthetic.tasks import TASKS

NOISE = CAMERA_NOISE**2 + (1 / 255) ** 2 / 12


def engraver(index):
    small = sr.small_picture(index)
    return sr.engraving_truth(small), lambda rng: sr.engrave(small, rng)


def photographer(index):
    scene = inpaint.inpainting_scene(index)

    def draw(rng):
        photo = inpaint.take_inpainting_photo(scene, rng.integers(4), rng)
        return scene.in_hole(photo.transpose(2, 0, 1)).transpose(1, 2, 0)

    return inpaint.inpainting_truth(scene), draw


@pytest.mark.parametrize('world', [engraver, photographer])
@pytest.mark.parametrize('index', [4, 7])
def test_pictures_have_the_stated_moments(world, index):
    truth, draw = world(index)
    rng, count = np.random.default_rng(0), 3000
    pictures = np.stack([draw(rng) for _ in range(count)]).transpose(0, 3, 1, 2) / 255
    error = (pictures.mean(0) - truth.mean) / np.sqrt(truth.var)
    assert np.abs(error).max() < 6 / np.sqrt(count)
    # The variance of (y - mu)^2 from the modes themselves; the noise is Gaussian
    spread = (truth.modes - truth.mean) ** 2
    deviation = np.sqrt(((spread - truth.var) ** 2).mean(0) + 6 * truth.var * NOISE)
    error = (pictures.var(0, ddof=1) - truth.var) / deviation
    assert np.abs(error).max() < 6 / np.sqrt(count)


@pytest.mark.parametrize('world', [engraver, photographer])
def test_every_picture_is_a_mode_with_unclipped_noise(world):
    for index in range(20):
        truth, draw = world(index)
        picture = draw(np.random.default_rng(index)).transpose(2, 0, 1) / 255
        assert truth.modes.min() > 5 * CAMERA_NOISE
        assert truth.modes.max() < 1 - 5 * CAMERA_NOISE
        rest = np.abs(truth.modes - picture).min(0)
        assert np.sqrt((rest**2).mean()) == pytest.approx(NOISE**0.5, rel=0.1)


def test_reducing_any_engraving_gives_back_the_small_picture():
    for index in range(50):
        small = sr.small_picture(index)
        target = small.transpose(2, 0, 1) / 255
        np.testing.assert_allclose(
            sr.down_sample(sr.engravings(small)), target[None].repeat(4, 0), atol=1e-12
        )
        large = sr.engrave(small, np.random.default_rng(index)).transpose(2, 0, 1) / 255
        error = sr.down_sample(large) - target
        assert error.std() == pytest.approx((NOISE / 16) ** 0.5, rel=0.3)
        assert np.abs(error).max() < 6 * (NOISE / 16) ** 0.5


def test_hatchings_are_drawn_evenly_and_for_each_tile_on_its_own():
    small = sr.small_picture(1)
    modes = sr.tiles(sr.engravings(small))
    drawn = []
    for seed in range(30):
        large = sr.engrave(small, np.random.default_rng(seed)).transpose(2, 0, 1) / 255
        off = ((modes - sr.tiles(large)[:, None]) ** 2).mean((2, 3, 4))
        drawn.append(off.argmin(1))
    drawn = np.stack(drawn)
    counts = np.bincount(drawn.ravel(), minlength=4)
    # chi-square with 3 and 9 degrees of freedom, passed once in a thousand
    assert ((counts - drawn.size / 4) ** 2 / (drawn.size / 4)).sum() < 16.3
    pairs = np.bincount((4 * drawn[:, 1:] + drawn[:, :-1]).ravel(), minlength=16)
    expected = pairs.sum() / 16
    assert ((pairs - expected) ** 2 / expected).sum() < 37.7


def test_around_the_hole_nothing_tells_what_is_in_it():
    for index in range(50):
        scene = inpaint.inpainting_scene(index)
        photos = inpaint.inpainting_photos(scene)
        same = (photos == photos[:1]).all((0, 1))
        assert same[~scene.mask].all()
        assert not same[scene.mask].all()
        top, left, height, width = scene.hole
        assert scene.mask.sum() == height * width == 256
        assert scene.mask[top, left]
        # Nothing in the hole reaches its edge, where it would be cut
        edge = np.pad(np.zeros((14, 14), bool), 1, constant_values=True)
        assert scene.in_hole(same)[edge].all()


def test_posters_lie_far_apart_and_every_look_occurs():
    scenes = [inpaint.inpainting_scene(i) for i in range(60)]
    for scene in scenes:
        modes = inpaint.inpainting_truth(scene).modes
        between = np.sqrt(((modes[:, None] - modes[None]) ** 2).mean((2, 3, 4)))
        assert between[np.triu_indices(4, 1)].min() > 10 * CAMERA_NOISE
    assert (np.bincount([s.look for s in scenes], minlength=4) > 5).all()


@pytest.mark.parametrize(
    ('task', 'kinds', 'path'),
    [('sr', ('gt', 'lq'), 'lq'), ('inpaint', ('gt', 'masks'), 'gt')],
)
def test_files_and_the_answer_of_a_task_belong_together(tmp_path, task, kinds, path):
    root = TASKS[task].write_data(tmp_path, num_train=3, num_val=4, seed=5)
    for split, count in ('train', 3), ('val', 4):
        for kind in kinds:
            names = [f.name for f in sorted((root / split / kind).iterdir())]
            assert names == [f'{i:05d}.png' for i in range(count)]
    for name in names:
        answer = TASKS[task].answer(root / 'val' / path / name)
        picture = np.asarray(Image.open(root / 'val' / 'gt' / name))
        bgr = picture[:, :, ::-1].transpose(2, 0, 1)
        for part, truth in zip(answer.cut(bgr), answer.truths, strict=True):
            off = np.sqrt(((truth.modes - part) ** 2).mean((1, 2, 3)))
            assert off.min() == pytest.approx(NOISE**0.5 * 255, rel=0.7)
        assert answer.draw(np.random.default_rng(0)).shape == picture.shape


def test_boxes_and_masks_are_the_scenes_holes(tmp_path):
    inpaint.write_inpaintings(tmp_path, num_train=2, num_val=3)
    boxes = json.loads((tmp_path / 'val' / 'boxes.json').read_text())
    for name, box in boxes.items():
        scene = inpaint.scene_of_file(tmp_path / 'val' / 'gt' / f'{name}.png')
        assert box == list(scene.hole)
        mask = Image.open(tmp_path / 'val' / 'masks' / f'{name}.png').convert('L')
        np.testing.assert_array_equal(np.asarray(mask), 255 * scene.mask)


def test_bad_size_is_named():
    with pytest.raises(ValueError, match='size is 33'):
        inpaint.inpainting_scene(0, size=33)
