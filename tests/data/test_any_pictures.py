"""Pictures as they are: the dataset, what it loads, cuts, reduces and fills."""

import logging

import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from PIL import Image

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.data.any_pictures import Downscale, LoadPicture, Shrink, ToSquare
from mmagic_mr.data.any_pictures import MRFolderDataset as Folder
from mmagic_mr.data.image_inputs import HoleInput, SmallImageInput
from mmagic_mr.data.transforms import RandomHole, StrictCrop
from mmagic_mr.errors import MissingFileError, UserError

LOAD = dict(type='LoadPicture')
CROP = dict(type='StrictCrop', keys=['gt'], crop_size=(32, 32), crop_pos='center')


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmagic')


def save(path, width=48, height=40, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(image).save(path)
    return image


@pytest.fixture
def folder(tmp_path):
    for i in range(10):
        save(tmp_path / f'deep/{i}.{("png", "JPG")[i % 2]}', seed=i)
    return tmp_path


def names(split, folder, **options):
    dataset = Folder(folder, [LOAD], split, **options)
    return {dataset.get_data_info(i)['key'] for i in range(len(dataset))}


def test_a_plain_folder_is_split_once_and_for_all(folder):
    train, val = names('train', folder), names('val', folder)
    assert (len(train), len(val)) == (9, 1)
    assert train | val == {f'deep/{i}' for i in range(10)}
    assert names('val', folder, val=0.3) > val


def test_a_folder_that_is_split_stays_so(tmp_path):
    save(tmp_path / 'train/a.png')
    save(tmp_path / 'val/b.png')
    assert names('train', tmp_path) == {'a'}
    assert names('val', tmp_path) == {'b'}


def test_what_is_small_or_no_picture_is_left_out_and_said(folder):
    save(folder / 'small.png', 30, 60)
    (folder / 'broken.png').write_text('no picture')
    (folder / 'notes.txt').write_text('no picture')
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = MMLogger.get_instance('own_pictures', logger_name='own_pictures')
    logger.addHandler(handler)
    assert len(names('train', folder, least=32)) == 9
    words = 'left out: 1 not readable, 1 smaller than 32'
    assert f'{folder}: 10 pictures; {words}' in lines


def test_too_few_pictures(tmp_path):
    with pytest.raises(MissingFileError, match=r'/none is missing. Make it with: run'):
        Folder(tmp_path / 'none', [LOAD], prepare_hint='run')
    save(tmp_path / 'a.png')
    with pytest.raises(MissingFileError, match=r'holds 1 pictures.*2 are needed'):
        Folder(tmp_path, [LOAD])
    save(tmp_path / 'train/b.png')
    with pytest.raises(MissingFileError, match='val is missing'):
        Folder(tmp_path, [LOAD], 'val')


def test_a_file_that_breaks_off_is_named_when_it_is_loaded(folder):
    path = folder / 'deep/0.png'
    path.write_bytes(path.read_bytes()[:1000])
    dataset = Folder(folder, [LOAD], val=0.05)
    keys = [dataset.get_data_info(i)['key'] for i in range(len(dataset))]
    with pytest.raises(UserError, match=r'deep/0\.png is not a readable image: delete'):
        dataset[keys.index('deep/0')]


def test_colors_are_those_of_the_file(tmp_path):
    image = save(tmp_path / 'a.png')
    results = LoadPicture()({'gt_path': tmp_path / 'a.png'})
    assert results['gt'].flags.writeable  # or PyTorch warns of it
    np.testing.assert_array_equal(results['gt'], image)
    assert results['gt_channel_order'] == 'rgb'


def test_cuts_and_reductions():
    image = np.arange(48 * 40 * 3, dtype=np.uint32).reshape(40, 48, 3) % 256
    results = {'gt': image.astype(np.uint8), 'gt_channel_order': 'rgb'}
    cut = StrictCrop(['gt'], (32, 32), 'center')(dict(results))['gt']
    np.testing.assert_array_equal(cut, image[4:36, 8:40])
    assert Shrink(['gt'], 20)(dict(results))['gt'].shape == (20, 24, 3)
    assert ToSquare(['gt'], 16)(dict(results))['gt'].shape == (16, 16, 3)
    same = ToSquare(['gt'], 32)({'gt': cut})['gt']
    np.testing.assert_array_equal(same, cut)
    flat = np.full((16, 24, 3), 77, np.uint8)
    flat[:, :4] = 200
    made = Downscale(4)({'gt': flat, 'gt_channel_order': 'rgb'})
    assert made['img'].shape == (4, 6, 3)
    assert made['img'][0, -1].tolist() == [77] * 3
    assert made['img'][0, 0, 0] > 180
    assert made['img_channel_order'] == 'rgb'
    with pytest.raises(
        UserError, match='30x32, which is not a multiple of the scale 4'
    ):
        Downscale(4)({'gt': np.zeros((32, 30, 3), np.uint8)})


def test_a_seed_fixes_the_hole_of_a_name():
    def hole(name, seed):
        step = RandomHole(box_size=16, sides=(8, 16), seed=seed)
        results = step({'gt': np.zeros((32, 32, 3)), 'gt_path': f'/x/{name}.png'})
        return results['mask'].tobytes(), results['mask_bbox']

    assert hole('a', 0) == hole('a', 0)
    assert hole('a', 0) != hole('b', 0)
    assert hole('a', 0) != hole('a', 1)
    assert len({hole('a', None)[1] for _ in range(20)}) > 1
    with pytest.raises(UserError, match='fixed holes are for squares'):
        RandomHole(8, (4, 8), seed=0)({'gt': np.zeros((32, 30, 3)), 'gt_path': 'a'})


def test_the_small_image_of_a_user_replaces_the_one_that_is_made(tmp_path):
    image = save(tmp_path / 'small.png', 10, 8)
    steps = [LOAD, CROP, dict(type='Downscale'), dict(type='PackInputs')]
    steps = Compose(steps).transforms
    fields, left = SmallImageInput().fields(None, steps, tmp_path / 'small.png')
    packed = Compose(left)(fields)
    assert packed['inputs'].shape == (3, 8, 10)
    np.testing.assert_array_equal(packed['inputs'].permute(1, 2, 0).numpy(), image)
    assert steps[0].key == 'gt'
    with pytest.raises(UserError, match='loads neither img nor gt'):
        SmallImageInput().fields(None, steps[1:], tmp_path / 'small.png')


def test_the_mask_of_a_user_is_that_of_the_whole_picture(tmp_path):
    image = save(tmp_path / 'whole.png', 60, 44)
    mask = np.zeros((44, 60), np.uint8)
    mask[4:20, 40:56] = 255
    Image.fromarray(mask).save(tmp_path / 'mask.png')
    shrink = dict(type='Shrink', keys=['gt'], short_side=32)
    hole = dict(type='RandomHole', box_size=16, sides=(8, 16), seed=0)
    fill = dict(type='FillHole', color=(1, 2, 3))
    steps = [LOAD, shrink, CROP, hole, fill, dict(type='PackInputs')]
    files = tmp_path / 'whole.png', False, tmp_path / 'mask.png'
    fields, left = HoleInput().fields(None, Compose(steps).transforms, *files)
    packed = Compose(left)(fields)
    inputs = packed['inputs'].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(inputs[mask == 0], image[mask == 0])
    assert (inputs[mask > 0] == [1, 2, 3]).all()
