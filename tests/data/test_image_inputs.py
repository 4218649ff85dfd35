"""An image file becomes an input as the pipeline of the config says."""

import struct
import zlib

import cv2
import numpy as np
import pytest
import torch
from helpers import hosts, pix2pix
from helpers.inference import sample_image

from mmagic_mr.errors import UserError

# isort: split
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate


@pytest.fixture
def label_left(tmp_path):
    """A model whose data set has the label on the left, and such a pair A|B."""
    load = dict(
        type='LoadPairedImageFromFile', key='pair', domain_a='label', domain_b='photo'
    )
    pack = dict(
        type='PackInputs',
        keys=pix2pix.KEYS,
        data_keys=pix2pix.KEYS,
        meta_keys=['pair_path'],
    )
    model = pix2pix.build().eval()
    model.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=[load, pack]))))
    picture = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    path = tmp_path / 'pair.png'
    cv2.imwrite(str(path), picture)
    return model, path, picture


def channels_first(picture):
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)


def test_the_pipeline_says_which_half_is_the_condition(label_left, tmp_path):
    model, path, picture = label_left
    pair = sample_image(model, path, 2, seed=1, pair=True)
    assert torch.equal(pair.img_label, channels_first(picture[:, :32]))
    assert torch.equal(pair.img_photo, channels_first(picture[:, 32:]))
    item = Compose(model.cfg.test_dataloader.dataset.pipeline)({'pair_path': str(path)})
    (expected,) = model.val_step(pseudo_collate([item]), 2, 1)
    assert torch.equal(pair.samples, expected.samples)
    cv2.imwrite(str(tmp_path / 'label.png'), picture[:, :32])
    alone = sample_image(model, tmp_path / 'label.png', 2, seed=1)
    assert torch.equal(alone.samples, pair.samples)
    assert 'img_photo' not in alone


def test_the_mask_of_the_user_is_used_where_the_pipeline_draws_its_own(tmp_path):
    model = hosts.build(hosts.GLCIC).eval()
    drawn = dict(
        type='LoadMask',
        mask_mode='bbox',
        mask_config=dict(
            max_bbox_shape=8, max_bbox_delta=0, min_margin=0, img_shape=(32, 32)
        ),
    )
    load = dict(type='LoadImageFromFile', key='gt')
    steps = [load, drawn, dict(type='FillHole'), dict(type='PackInputs')]
    model.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=steps))))
    face = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    mask = np.zeros((32, 32), np.uint8)
    mask[4:20, 12:28] = 255
    cv2.imwrite(str(tmp_path / 'face.png'), face)
    cv2.imwrite(str(tmp_path / 'mask.png'), mask)
    output = sample_image(
        model, tmp_path / 'face.png', 2, 0, mask=tmp_path / 'mask.png'
    )
    assert torch.equal(output.mask[0] > 0, torch.from_numpy(mask > 0))


def test_wrong_use_is_refused_by_name(label_left, tmp_path):
    model, path, _ = label_left
    with pytest.raises(UserError, match=r'--mask mask\.png: MRPix2Pix takes no mask'):
        sample_image(model, path, 1, 0, mask='mask.png')
    small = hosts.build(hosts.SRGAN).eval()
    loads = [dict(type='LoadImageFromFile', key=key) for key in ('img', 'gt')]
    pipeline = [*loads, dict(type='PackInputs')]
    small.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    with pytest.raises(UserError, match='--pair: super-resolution'):
        sample_image(small, path, 1, 0, pair=True)
    with pytest.raises(UserError, match='MRSRGAN takes no mask'):
        sample_image(small, path, 1, 0, mask='mask.png')
    # The large image is not asked for
    output = sample_image(small, path, 2, 0)
    assert output.samples.shape == (2, 3, 128, 256)
    model.cfg.test_dataloader.dataset.pipeline[0].domain_a = 'drawing'
    with pytest.raises(UserError, match='img_drawing and img_photo, and the model'):
        sample_image(model, path, 1, 0)
    model.cfg.test_dataloader.dataset.pipeline = pipeline
    with pytest.raises(UserError, match='no step that loads pairs'):
        sample_image(model, path, 1, 0)


def test_a_picture_of_a_giants_size_is_no_readable_image(label_left, tmp_path):
    model, *_ = label_left

    def chunk(kind, data):
        checked = kind + data
        return (
            struct.pack('>I', len(data))
            + checked
            + struct.pack('>I', zlib.crc32(checked))
        )

    header = struct.pack('>IIBBBBB', 60000, 30000, 8, 2, 0, 0, 0)
    path = tmp_path / 'giant.png'
    path.write_bytes(
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', header)
        + chunk(b'IDAT', zlib.compress(bytes(1000)))
        + chunk(b'IEND', b'')
    )
    with pytest.raises(UserError, match=r'giant\.png is not a readable image'):
        sample_image(model, path, 1, 0)


def test_an_error_of_the_pipeline_names_the_file(label_left):
    model, path, _ = label_left
    crop = dict(type='StrictCrop', keys=pix2pix.KEYS, crop_size=(64, 64))
    model.cfg.test_dataloader.dataset.pipeline.insert(1, crop)
    with pytest.raises(UserError, match=r'pair\.png: the image of 32x32 is smaller'):
        sample_image(model, path, 1, 0, pair=True)
