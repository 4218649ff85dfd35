"""Configs and data sets small enough to train for a few iterations in a test."""

from pathlib import Path

import cv2
import numpy as np

CONFIGS = Path(__file__).parent.parent / 'configs'


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


def options(data_root, size=32) -> dict:
    """Overrides of a Pix2Pix config, as --cfg-options: networks of a few channels."""
    small = {
        'model.generator.num_down': int(np.log2(size)),
        'model.generator.base_channels': 4,
        'model.discriminator.base_channels': 4,
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
    return small


def load(name: str, data_root, work_dir, size=32, **overrides):
    """The config of this name with `options`, K = 2 on 2 inputs, and ``overrides``."""
    from mmengine.config import Config
    from mmengine.runner import runner

    runner.collect_env = dict  # Three seconds a run, to write compilers into the log.
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    small = options(data_root, size)
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
            if step.type == 'StrictCrop':
                key = f'{split}_dataloader.dataset.pipeline.{i}.crop_size'
                small[key] = (size, size)
    cfg.merge_from_dict(small | overrides)
    cfg.work_dir = str(work_dir)
    return cfg
