"""Datasets on folders that the data tool made, through MMagic's own preprocessing."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from PIL import Image
from torch.utils.data import DataLoader

import mmagic_mr.host  # noqa: F401
from mmagic_mr.data.datasets import MRImageDataset
from mmagic_mr.data.prepare.celeba import prepare_celeba_inpaint, prepare_celeba_sr
from mmagic_mr.data.transforms import FillHole, RandomHole, StrictCrop

# isort: split
from mmagic.datasets import PairedImageDataset
from mmagic.models.data_preprocessors import DataPreprocessor
from mmagic.models.utils import extract_around_bbox
from mmagic.registry import DATASETS

# Serializing calls the garbage collector: half a second with MMagic in memory
UNPACKED = {'serialize_data': False}
HINT = 'python tools/prepare_data.py cityscapes SRC data/cityscapes'


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmagic')


def picture(height, width, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(array, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def read_bgr(path):
    return np.asarray(Image.open(path).convert('RGB'))[..., ::-1]


def as_array(tensor):
    return tensor.permute(1, 2, 0).numpy()


def collate(items):
    return {key: [item[key] for item in items] for key in items[0]}


def break_file(path):
    path = Path(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


# --- pairs


@pytest.fixture
def pairs(tmp_path):
    for split, count in (('train', 3), ('val', 2)):
        for n in range(count):
            save(picture(16, 32, n), tmp_path / f'pairs/{split}/city_{n}.png')
    return tmp_path / 'pairs'


def paired(root, *transforms, **kwargs):
    keys = ['img_photo', 'img_label']
    load = {'type': 'LoadPairedImageFromFile', 'key': 'pair'}
    pack = {'type': 'PackInputs', 'keys': keys, 'data_keys': keys}
    pipeline = [{**load, 'domain_a': 'photo', 'domain_b': 'label'}, *transforms, pack]
    options = {
        'type': 'MRPairedImageDataset',
        **UNPACKED,
        'prepare_hint': HINT,
        **kwargs,
    }
    return DATASETS.build({**options, 'data_root': str(root), 'pipeline': pipeline})


def test_pairs_are_split_photo_left_label_right(pairs):
    train, val = paired(pairs), paired(pairs, test_mode=True)
    assert (len(train), len(val)) == (3, 2)
    item = train[1]
    pair = read_bgr(pairs / 'train/city_1.png')
    np.testing.assert_array_equal(as_array(item['inputs']['img_photo']), pair[:, :16])
    np.testing.assert_array_equal(as_array(item['inputs']['img_label']), pair[:, 16:])
    sample = item['data_samples']
    assert torch.equal(sample.img_photo, item['inputs']['img_photo'])
    assert sample.sample_idx == 1


def test_same_as_mmagics_dataset_otherwise(pairs):
    for test_mode in (False, True):
        ours = paired(pairs, test_mode=test_mode)
        mmagic = PairedImageDataset(
            str(pairs), ours.pipeline.transforms, test_mode=test_mode, test_dir='val'
        )
        assert [ours.get_data_info(i) for i in range(len(ours))] == [
            mmagic.get_data_info(i) for i in range(len(mmagic))
        ]


def test_lazy_init_reads_nothing_and_indices_choose(pairs, tmp_path):
    lazy = paired(tmp_path / 'later', lazy_init=True)
    shutil.copytree(pairs, tmp_path / 'later')
    lazy.full_init()
    assert len(lazy) == 3
    assert len(paired(pairs, indices=2)) == 2


def test_missing_folder_names_itself_and_the_command(pairs):
    shutil.rmtree(pairs / 'val')
    with pytest.raises(FileNotFoundError) as caught:
        paired(pairs, test_mode=True)
    message = str(caught.value)
    assert f'dataset folder {pairs}/val is missing. Make it with: {HINT}' in message
    with pytest.raises(FileNotFoundError, match=r'missing\.$'):
        paired(pairs, test_mode=True, prepare_hint=None)
    (pairs / 'val').mkdir()
    with pytest.raises(FileNotFoundError, match=r'val holds no image\. Make it with'):
        paired(pairs, test_mode=True)


@pytest.mark.parametrize('workers', [0, 2])
def test_corrupt_image_is_named(pairs, workers):
    dataset = paired(pairs)
    break_file(pairs / 'train/city_2.png')
    batches = iter(DataLoader(dataset, 1, num_workers=workers, collate_fn=list))
    with pytest.raises(ValueError, match=r'train/city_2\.png is not a readable image'):
        list(batches)
    if workers:
        batches._shutdown_workers()  # not by the collector in some later test
    (pairs / 'train/city_2.png').unlink()
    with pytest.raises(ValueError, match=r'city_2.png is not .*Make it with: python'):
        dataset[2]


def test_single_image_among_pairs_is_named(pairs):
    save(picture(16, 31, 0), pairs / 'train/city_0.png')
    with pytest.raises(ValueError, match=r'city_0.png: The width .* even .* 31'):
        paired(pairs)[0]


def test_other_errors_pass_unchanged(pairs):
    def faulty(results):
        raise KeyError('own fault')

    with pytest.raises(KeyError, match='own fault'):
        paired(pairs, faulty)[0]


def test_crop_moves_both_alike_and_refuses_small_images(pairs):
    def cropped(size, pos=None):
        keys = ['img_photo', 'img_label']
        crop = {'type': 'StrictCrop', 'keys': keys, 'crop_size': size, 'crop_pos': pos}
        return paired(pairs, crop)

    pair = read_bgr(pairs / 'train/city_0.png')
    inputs = cropped((8, 12), (0, 0))[0]['inputs']
    np.testing.assert_array_equal(as_array(inputs['img_photo']), pair[:8, :12])
    np.testing.assert_array_equal(as_array(inputs['img_label']), pair[:8, 16:28])

    dataset, seen = cropped((8, 8)), set()
    for _ in range(400):
        inputs = dataset[0]['inputs']
        photo, label = (as_array(inputs[f'img_{kind}']) for kind in ('photo', 'label'))
        for top, left in np.argwhere((pair[:9, :9] == photo[0, 0]).all(-1)):
            if (pair[top : top + 8, left : left + 8] == photo).all():
                seen.add((top, left))
                other = pair[top : top + 8, 16 + left : 24 + left]
                np.testing.assert_array_equal(label, other)
    assert {top for top, _ in seen} == {left for _, left in seen} == set(range(9))

    assert cropped((16, 16))[0]['inputs']['img_photo'].shape == (3, 16, 16)
    with pytest.raises(ValueError, match=r'city_0.png: the image of 16x16 is smaller'):
        cropped((17, 16))[0]
    with pytest.raises(ValueError, match='crop of 16x16 at x=1, y=0'):
        cropped((16, 16), (1, 0))[0]


# --- super-resolution


@pytest.fixture(scope='module')
def celeba(tmp_path_factory):
    """The official folder with seven faces: four train, two val, one test."""
    src = tmp_path_factory.mktemp('celeba')
    lines = []
    for n, split in enumerate('0000112', 1):
        rough = Image.fromarray(picture(8, 8, n))
        face = np.asarray(rough.resize((178, 218), Image.Resampling.BILINEAR))
        save(face, src / f'img_align_celeba/{n:06d}.jpg')
        lines.append(f'{n:06d}.jpg {split}\n')
    (src / 'list_eval_partition.txt').write_text(''.join(lines))
    return src


def sr_dataset(root, split='train', **kwargs):
    order = {'channel_order': 'rgb'}
    pipeline = [
        {'type': 'LoadImageFromFile', 'key': 'img', **order},
        {'type': 'LoadImageFromFile', 'key': 'gt', **order},
        {'type': 'PackInputs'},
    ]
    return DATASETS.build(
        {
            'type': 'MRImageDataset',
            'data_root': str(root),
            'data_prefix': {'gt': f'{split}/gt', 'img': f'{split}/lq'},
            'pipeline': pipeline,
            'prepare_hint': 'make it',
            **UNPACKED,
            **kwargs,
        }
    )


@pytest.fixture
def sr(celeba, tmp_path):
    prepare_celeba_sr(celeba, tmp_path / 'sr', workers=0)
    return tmp_path / 'sr'


def test_sr_batch_as_srgan_wants_it(sr):
    (sr / 'train/lq/notes.txt').touch()  # no image, so without a partner
    dataset = sr_dataset(sr)
    assert [dataset.get_data_info(i)['key'] for i in range(4)] == [
        f'{n:06d}' for n in range(1, 5)
    ]
    batch = collate([dataset[1], dataset[3]])
    data = DataPreprocessor(mean=[127.5] * 3, std=[127.5] * 3)(batch, True)
    lq, gt = data['inputs'], data['data_samples'].gt_img
    assert lq.shape == (2, 3, 16, 16)
    assert gt.shape == (2, 3, 64, 64)
    for index, name in enumerate(('000002', '000004')):
        for tensor, kind in ((lq, 'lq'), (gt, 'gt')):
            rgb = np.asarray(Image.open(sr / f'train/{kind}/{name}.png'))
            expected = rgb.astype(np.float64) / 127.5 - 1
            np.testing.assert_allclose(as_array(tensor[index]), expected, atol=1e-6)


def test_sr_missing_folder_and_partners(sr):
    shutil.rmtree(sr / 'test')
    with pytest.raises(FileNotFoundError, match=r'test/gt is missing\. Make it'):
        sr_dataset(sr, 'test')
    (sr / 'val/lq/000005.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'missing: .*val/lq/000005.png \(1 in'):
        sr_dataset(sr, 'val')
    save(picture(16, 16, 0), sr / 'train/lq/other.png')
    with pytest.raises(FileNotFoundError, match=r'without a partner: .*lq/other.png'):
        sr_dataset(sr)
    shutil.rmtree(sr / 'val/gt')
    (sr / 'val/gt').mkdir()
    with pytest.raises(FileNotFoundError, match='val/gt holds no image'):
        sr_dataset(sr, 'val')


def test_annotation_file_chooses_some(sr):
    (sr / 'some.txt').write_text('000003.png\n000001.png\n')
    dataset = sr_dataset(sr, ann_file='some.txt')
    assert [d['key'] for d in dataset.load_data_list()] == ['000001', '000003']


def test_sr_corrupt_image_is_named(sr):
    dataset = sr_dataset(sr)
    break_file(sr / 'train/lq/000003.png')
    path = re.escape(f'{sr}/train/lq/000003.png')
    with pytest.raises(ValueError, match=f'^{path} is not a readable image'):
        dataset[2]


# --- inpainting


def inpaint_dataset(root, split, *mask_steps, **kwargs):
    prefix = {'gt': f'{split}/gt'}
    if split != 'train':
        prefix['mask'] = f'{split}/masks'
        kwargs.setdefault('box_file', f'{split}/boxes.json')
        mask_steps = [{'type': 'LoadMask', 'mask_mode': 'file'}]
    pipeline = [
        {'type': 'LoadImageFromFile', 'key': 'gt'},
        *(mask_steps or [{'type': 'RandomHole'}]),
        {'type': 'FillHole'},
        {'type': 'PackInputs'},
    ]
    return MRImageDataset(
        data_root=str(root), data_prefix=prefix, pipeline=pipeline, **UNPACKED, **kwargs
    )


@pytest.fixture
def inpaint(celeba, tmp_path):
    prepare_celeba_inpaint(celeba, tmp_path / 'inpaint', workers=0)
    return tmp_path / 'inpaint'


@pytest.mark.parametrize('split', ['train', 'val'])
def test_inpainting_batch_as_glinpaintor_wants_it(inpaint, split):
    dataset = inpaint_dataset(inpaint, split)
    names = [dataset.get_data_info(i)['key'] for i in range(2)]
    batch = collate([dataset[0], dataset[1]])
    data = DataPreprocessor(mean=[0] * 3, std=[255] * 3)(batch, True)
    img, samples = data['inputs'], data['data_samples']
    assert img.shape == samples.gt_img.shape == (2, 3, 128, 128)
    assert samples.mask.shape == (2, 1, 128, 128)
    mask = samples.mask.bool()
    outside = ~mask.expand_as(img)
    assert torch.equal(img[outside], samples.gt_img[outside])
    # Blue, green, red, as MMagic loads images by default
    color = torch.tensor([96, 108, 130]).view(3, 1, 1) / 255
    for image, hole in zip(img, mask, strict=True):
        inside = image[:, hole[0]]
        torch.testing.assert_close(inside, color[..., 0].expand_as(inside))
    # As in GLInpaintor.train_step: the local patch is the box, and holds the hole
    bbox = torch.LongTensor(samples.metainfo['mask_bbox'])
    patches, box = extract_around_bbox(samples.mask, bbox, (64, 64))
    assert torch.equal(box, bbox)
    assert patches.shape == (2, 1, 64, 64)
    assert torch.equal(patches.sum((1, 2, 3)), samples.mask.sum((1, 2, 3)))
    for index, name in enumerate(names):
        gt = read_bgr(inpaint / split / f'gt/{name}.png').astype(np.float64) / 255
        np.testing.assert_allclose(as_array(samples.gt_img[index]), gt, atol=1e-6)
        if split == 'val':
            file = np.asarray(Image.open(inpaint / split / f'masks/{name}.png'))
            np.testing.assert_array_equal(mask[index, 0].numpy(), file == 255)


def test_training_holes_change_and_validation_holes_stay(inpaint):
    train, val = (inpaint_dataset(inpaint, split) for split in ('train', 'val'))

    def masks(dataset):
        return torch.stack([dataset[0]['data_samples'].mask for _ in range(3)])

    assert len(masks(train).unique(dim=0)) == 3
    assert len(masks(val).unique(dim=0)) == 1
    np.random.seed(7)  # noqa: NPY002
    first = masks(train)
    np.random.seed(7)  # noqa: NPY002
    assert torch.equal(first, masks(train))


def test_hole_fits_its_box():
    transform = RandomHole(box_size=6, sides=(3, 5))
    for _ in range(200):
        results = transform({'gt': np.zeros((12, 10, 3), np.uint8)})
        mask, (top, left, height, width) = results['mask'], results['mask_bbox']
        assert mask.shape == (12, 10, 1)
        assert mask.dtype == np.uint8
        assert (height, width) == (6, 6)
        assert 9 <= mask.sum() == mask[top : top + 6, left : left + 6].sum() <= 25
    with pytest.raises(ValueError, match='box of 64 does not fit into the image of'):
        RandomHole()({'gt': np.zeros((32, 32, 3), np.uint8)})


def test_fill_in_the_order_of_the_channels():
    image = picture(4, 5, 0)
    mask = np.zeros((4, 5, 1), np.uint8)
    mask[1:3, 2:5] = 1
    for order, color in (('rgb', [10, 20, 30]), ('bgr', [30, 20, 10])):
        results = {
            'gt': image,
            'mask': mask,
            'gt_channel_order': order,
            'gt_color_type': 'color',
            'ori_gt_shape': (4, 5, 3),
        }
        results = FillHole(color=(10, 20, 30))(results)
        expected = image.astype(np.float32)
        expected[1:3, 2:5] = color
        np.testing.assert_array_equal(results['img'], expected)
        assert results['img'].dtype == np.float32
        assert results['img_channel_order'] == order
        assert results['img_color_type'] == 'color'
        assert results['ori_img_shape'] == (4, 5, 3)
        # Own masks come without a box: it is the rectangle around the hole
        assert results['mask_bbox'] == (1, 2, 2, 3)
    results['mask_bbox'] = (0, 0, 4, 4)
    assert FillHole()(results)['mask_bbox'] == (0, 0, 4, 4)


def test_bad_masks_are_named(inpaint):
    dataset = inpaint_dataset(inpaint, 'val')
    path = inpaint / 'val/masks/000005.png'
    save(np.zeros((128, 128), np.uint8), path)
    with pytest.raises(ValueError, match=r'masks/000005.png: the mask has no hole'):
        dataset[0]
    save(np.full((64, 128), 255, np.uint8), path)
    with pytest.raises(ValueError, match=r'000005\.png: the mask is 128x64'):
        dataset[0]
    break_file(path)
    with pytest.raises(ValueError, match=r'masks/000005\.png is not a readable'):
        dataset[0]
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r'missing: .*val/masks/000005.png'):
        inpaint_dataset(inpaint, 'val')


def test_missing_boxes(inpaint):
    path = inpaint / 'val/boxes.json'
    boxes = json.loads(path.read_text())
    del boxes['000006']
    path.write_text(json.dumps(boxes))
    with pytest.raises(FileNotFoundError, match=r'boxes\.json has no box for 000006'):
        inpaint_dataset(inpaint, 'val')
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r'boxes\.json is missing'):
        inpaint_dataset(inpaint, 'val')


def test_plugin_registers_them():
    assert importlib.util.find_spec('mmagic_mr.plugin')
    from mmagic.registry import TRANSFORMS

    import mmagic_mr.plugin  # noqa: F401

    assert TRANSFORMS.get('StrictCrop') is StrictCrop
    assert DATASETS.get('MRImageDataset') is MRImageDataset
