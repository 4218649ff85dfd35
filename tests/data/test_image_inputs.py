"""An image file becomes an input as the pipeline of the config says."""

import cv2
import numpy as np
import pytest
import torch
from helpers import pix2pix

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
