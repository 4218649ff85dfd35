"""An image file becomes an input as the pipeline of the config says."""

import cv2
import numpy as np
import pytest
import torch
from helpers import hosts, pix2pix

from mmagic_mr.inference import sample_image

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
