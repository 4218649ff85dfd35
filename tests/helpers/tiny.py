"""Configs and data sets small enough to train for a few iterations in a test."""

import json
from pathlib import Path

import cv2
import numpy as np

from helpers import ROOT

CONFIGS = ROOT / 'configs'


def write_pairs(root: Path, size=32, train=4, val=3, seed=0) -> Path:
    """Writes root/{train,val}/*.png: photo left, label right, of size x size each."""
    rng = np.random.default_rng(seed)
    for split, count in ('train', train), ('val', val):
        folder = root / split
        folder.mkdir(parents=True)
        for i in range(count):
            cells = rng.integers(0, 4, (4, 4)).repeat(size // 4, 0).repeat(size // 4, 1)
            label = rng.integers(0, 256, (4, 3))[cells]
            photo = np.clip(label + rng.normal(0, 40, label.shape), 0, 255)
            pair = np.concatenate([photo, label], axis=1).astype(np.uint8)
            cv2.imwrite(str(folder / f'{i}.png'), pair)
    return root


def write_faces(root: Path, size=32, train=4, val=3, seed=0) -> Path:
    """Writes root/{train,val,test}/: gt, lq (a quarter of the size) and holes' masks.

    As the CelebA commands of tools/prepare_data.py do, for both tasks at once. Holes
    are half as wide as the images, and fill their boxes.
    """
    rng = np.random.default_rng(seed)
    for split, count in ('train', train), ('val', val), ('test', val):
        boxes = {}
        for kind in 'gt', 'lq', 'masks':
            (root / split / kind).mkdir(parents=True)
        for i in range(count):
            face = rng.integers(0, 256, (4, 4, 3)).repeat(size // 4, 0)
            face = face.repeat(size // 4, 1) + rng.normal(0, 20, (size, size, 3))
            face = np.clip(face, 0, 255).astype(np.uint8)
            half = size // 2
            top, left = (int(v) for v in rng.integers(0, half + 1, 2))
            mask = np.zeros((size, size), np.uint8)
            mask[top : top + half, left : left + half] = 255
            boxes[f'{i}'] = [top, left, half, half]
            small = cv2.resize(face, (size // 4,) * 2, interpolation=cv2.INTER_AREA)
            for kind, image in ('gt', face), ('lq', small), ('masks', mask):
                cv2.imwrite(str(root / split / kind / f'{i}.png'), image)
        (root / split / 'boxes.json').write_text(json.dumps(boxes))
    return root


# Networks of a few channels (the generator of Global&Local has fixed ones).
NETWORKS = {
    'pix2pix': lambda size: {
        'model.generator.num_down': int(np.log2(size)),
        'model.generator.base_channels': 4,
        'model.discriminator.base_channels': 4,
    },
    'srgan': lambda size: {
        'model.generator.mid_channels': 4,
        'model.generator.num_blocks': 2,
        'model.discriminator.mid_channels': 2,
        'model.eval_num_samples': 3,
    },
    'glcic': lambda size: {
        'model.disc.global_disc_cfg.max_channels': 8,
        'model.disc.global_disc_cfg.fc_in_channels': 8 * (size // 32) ** 2,
        'model.disc.global_disc_cfg.num_convs': 5,
        'model.disc.local_disc_cfg.max_channels': 8,
        'model.disc.local_disc_cfg.fc_in_channels': 8 * (size // 32) ** 2,
        'model.disc.local_disc_cfg.num_convs': 4,
        'model.train_cfg.local_size': (size // 2, size // 2),
        'model.eval_num_samples': 3,
    },
}


def options(data_root, size=32, host='pix2pix') -> dict:
    """Overrides of a host's config, as --cfg-options: networks of a few channels."""
    small = NETWORKS[host](size) | {
        'train_cfg.max_iters': 2,
        'train_cfg.val_interval': 2,
        'default_hooks.logger.interval': 1,
        'default_hooks.checkpoint.interval': 2,
        'train_dataloader.batch_size': 4,
        'env_cfg.cudnn_benchmark': False,
    }
    for split in 'train', 'val', 'test':
        small[f'{split}_dataloader.dataset.data_root'] = str(data_root)
        small[f'{split}_dataloader.num_workers'] = 0
        small[f'{split}_dataloader.persistent_workers'] = False
        # A garbage collection each, of all that MMagic imports.
        small[f'{split}_dataloader.dataset.serialize_data'] = False
    return small


def write_data(name: str, root: Path, **kwargs) -> Path:
    """What the config of this name trains on."""
    pairs = name.startswith('pix2pix')
    return (write_pairs if pairs else write_faces)(root, **kwargs)


def quicken_runners() -> None:
    """No compilers in the log, and no fine layout of configs: seconds each."""
    from mmengine.config import config
    from mmengine.runner import runner

    runner.collect_env = dict
    config.FormatCode = lambda text, **kwargs: (text, True)


def load(name: str, data_root, work_dir, size=32, **overrides):
    """The config of this name with `options`, K = 2 on 2 inputs, and ``overrides``."""
    from mmengine.config import Config

    quicken_runners()
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    host = name.split('_')[0]
    small = options(data_root, size, host)
    if cfg.model.num_samples > 1:
        small |= {'model.num_samples': 2, 'model.gen_batch_size': 2}
    for i, hook in enumerate(cfg.custom_hooks):
        if hook.type == 'PredictorPretrainHook':
            small |= {
                f'custom_hooks.{i}.max_iters': 2,
                f'custom_hooks.{i}.val_interval': 1,
            }
        if hook.type == 'CollageHook':
            small[f'custom_hooks.{i}.interval'] = 2
    for split in 'train', 'val', 'test':
        dataset = cfg[f'{split}_dataloader'].dataset
        for i, step in enumerate(dataset.pipeline):
            key = f'{split}_dataloader.dataset.pipeline.{i}'
            if step.type == 'StrictCrop':
                small[f'{key}.crop_size'] = (size, size)
            if step.type == 'RandomHole':
                small[f'{key}.box_size'] = size // 2
                small[f'{key}.sides'] = (size // 4, size // 2)
    cfg.merge_from_dict(small | overrides)
    cfg.work_dir = str(work_dir)
    return cfg
