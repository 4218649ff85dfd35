"""Folders of runs, as mmengine leaves them, with small networks that nobody trained."""

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from helpers import hosts, pix2pix

PLUGIN = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
PAIRS = [
    dict(
        type='LoadPairedImageFromFile', key='pair', domain_a='photo', domain_b='label'
    ),
    dict(type='PackInputs', keys=pix2pix.KEYS, data_keys=pix2pix.KEYS),
]
HOLES = [
    dict(type='LoadImageFromFile', key='gt'),
    dict(type='LoadMask', mask_mode='file'),
    dict(type='FillHole'),
    dict(type='PackInputs'),
]


def write_run(folder: Path, model: dict, steps: list, dataset=None) -> Path:
    """The config and the checkpoint of a model in the folder of a run."""
    cfg = Config(
        dict(
            default_scope='mmagic',
            custom_imports=PLUGIN,
            model=model,
            test_dataloader=dict(dataset=dict(dataset or {}, pipeline=steps)),
        )
    )
    start = folder / '20260101_000000' / 'vis_data'
    start.mkdir(parents=True)
    (start / 'config.py').write_text(
        '\n'.join(f'{key} = {value!r}' for key, value in cfg.to_dict().items())
    )
    init_default_scope('mmagic')
    torch.manual_seed(0)
    built = hosts.MODELS.build(cfg.model)
    built.init_weights()
    _spread(built)
    torch.save(dict(state_dict=built.state_dict(), meta={}), folder / 'iter_1.pth')
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_1.pth'))
    return folder


def _spread(model) -> None:
    """Noise weights that are seen in the samples of a network without training."""
    for name, weight in model.named_parameters():
        if '.noise.' in name:
            weight.data.mul_(400)


def write_pix2pix(folder: Path, data_root: Path | None = None, **changes) -> Path:
    """Labels of 32x32, or larger by a whole factor, to photos."""
    model = pix2pix.config(mr_loss=None, **changes)
    dataset = dict(
        type='MRPairedImageDataset', test_mode=True, data_root=f'{data_root}'
    )
    return write_run(folder, model, PAIRS, data_root and dataset)


def write_inpainting(folder: Path) -> Path:
    """Images of any size with a hole."""
    return write_run(folder, dict(hosts.GLCIC), HOLES)


def write_picture(path: Path, size: int = 32, seed: int = 0) -> Path:
    """A few flat rectangles."""
    rng = np.random.default_rng(seed)
    picture = np.full((size, size, 3), 90, np.uint8)
    for _ in range(4):
        top, left = rng.integers(0, size // 2, 2)
        picture[top : top + size // 2, left : left + size // 3] = rng.integers(
            0, 256, 3
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return path
