"""Made data in the layouts of MMagic's own configs, and sizes for a test of them."""

import shutil
from pathlib import Path

import cv2
import numpy as np

from helpers import tiny

SMALL_SWINIR = dict(depths=[1, 1], embed_dim=8, num_heads=[2, 2], window_size=4)
SMALL_NAFNET = dict(
    mid_channels=4, enc_blk_nums=[1, 1], middle_blk_num=1, dec_blk_nums=[1, 1]
)


def write_image(path: Path, side: int, seed=0) -> None:
    """Blocks of color, the same for a seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (side // 4, side // 4, 3), np.uint8)
    cv2.imwrite(str(path), blocks.repeat(4, 0).repeat(4, 1))


def write_masks(root: Path) -> None:
    """Two masks with a hole of half the side, and the lists of AOT-GAN's config."""
    root.mkdir()
    for i in range(2):
        mask, start = np.zeros((64, 64), np.uint8), 8 + 16 * i
        mask[start : start + 32, start : start + 32] = 255
        cv2.imwrite(str(root / f'{i}.png'), mask)
    for name in 'train_mask_list', 'mask_0.5-0.6_list':
        (root / f'{name}.txt').write_text('0.png\n1.png\n')


def write_data(kind: str, root: Path) -> None:
    """Two images for each split, as the stock config of this kind wants them.

    Args:
        kind: 'pairs' of Pix2Pix; 'div2k' with Set5 or Set14; 'df2k_ost' of Real-ESRGAN
            with Set5; 'sidd' and 'gopro' of NAFNet; 'celeba' and, with a set of masks,
            'places' of inpainting.
        root: Folder for it.
    """
    if kind == 'pairs':
        tiny.write_pairs(root, train=2, val=2)
        shutil.copytree(root / 'val', root / 'test')
        return
    names = [f'{i}.png' for i in range(2)]
    for i, name in enumerate(names):
        if kind == 'div2k':
            write_image(root / 'DIV2K_train_HR_sub' / name, 224, i)
            write_image(root / 'DIV2K_train_LR_bicubic/X4_sub' / name, 56, i)
            write_image(root / 'GTmod12' / name, 48, i)
            write_image(root / 'LRbicx4' / name, 12, i)
        elif kind == 'df2k_ost':
            write_image(root / 'GT_sub' / name, 96, i)
            write_image(root / 'GTmod12' / name, 48, i)
            write_image(root / 'LRbicx4' / name, 12, i)
        elif kind == 'sidd':
            write_image(root / 'gt' / f'{i}_GT.png', 32, i)
            write_image(root / 'noisy' / f'{i}_NOISY.png', 32, i)
        elif kind == 'gopro':
            write_image(root / 'sharp' / name, 32, i)
            write_image(root / 'blur' / name, 32, i)
        elif kind == 'places':
            write_image(root / 'data_large' / name, 96, i)
            write_image(root / 'val_large' / name, 96, i)
        else:
            write_image(root / name, 96, i)
    if kind == 'places':
        write_masks(root / 'pconv_mask')
    lines = ''.join(f'{name} (224,224,3)\n' for name in names)
    for file in {
        'div2k': ['meta_info_DIV2K800sub_GT'],
        'df2k_ost': ['meta_info_df2k_ost'],
        'celeba': ['train_celeba_img_list', 'val_celeba_img_list'],
        'places': ['meta/places365_train_challenge', 'meta/places365_val'],
    }.get(kind, []):
        (root / f'{file}.txt').parent.mkdir(exist_ok=True)
        (root / f'{file}.txt').write_text(lines)


def options(kind: str, network: str, root: Path, work_dir: Path) -> dict:
    """Paths, iterations and sizes, as --cfg-options; nothing of the method.

    Args:
        kind: Of `write_data`.
        network: 'unet', 'msrresnet', 'rrdb', 'edsr', 'rdn', 'swinir', 'nafnet',
            'global_local', 'deepfill' or 'aot'.
        root: Of the data.
        work_dir: Of the run.
    """
    small = {
        'work_dir': str(work_dir),
        'default_hooks.checkpoint.out_dir': None,
        'default_hooks.checkpoint.save_best': None,
        'default_hooks.logger.interval': 1,
        'train_cfg.max_iters': 3,
        'train_cfg.val_interval': 3,
        'train_dataloader.batch_size': 2,
        'model.num_samples': 2,
    }
    for split in 'train', 'val':
        small[f'{split}_dataloader.dataset.data_root'] = str(root)
        small[f'{split}_dataloader.num_workers'] = 0
        small[f'{split}_dataloader.persistent_workers'] = False
    networks = {
        'unet': dict(num_down=5, base_channels=4),
        'msrresnet': dict(mid_channels=4, num_blocks=2),
        'rrdb': dict(mid_channels=4, num_blocks=2, growth_channels=4),
        'edsr': dict(mid_channels=4, num_blocks=2),
        'rdn': dict(mid_channels=4, num_blocks=2, num_layers=2, channel_growth=4),
        'swinir': SMALL_SWINIR,
        'nafnet': SMALL_NAFNET,
        'global_local': {},
        'deepfill': {},
        'aot': {},
    }
    small |= {f'model.generator.{k}': v for k, v in networks[network].items()}
    if network in ('msrresnet', 'rrdb'):  # those with a discriminator
        small['model.discriminator.mid_channels'] = 4
    if network == 'rrdb':  # no weights are fetched
        small['model.generator.init_cfg'] = None
    if network == 'global_local':
        small |= _global_local_sizes()
    if network == 'deepfill':
        small |= _deepfill_sizes()
    if network == 'aot':
        small |= _aot_sizes(root / 'pconv_mask')
    if kind == 'pairs':
        small |= _pair_sizes()
    if kind == 'df2k_ost':
        pipeline = 'train_dataloader.dataset.pipeline'
        small |= {
            f'{pipeline}.2.crop_size': (96, 96),
            f'{pipeline}.12.degradations.1.0.params.target_size': (24, 24),
            f'{pipeline}.16.gt_patch_size': 64,
        }
    if kind in ('sidd', 'gopro'):
        small['train_dataloader.dataset.pipeline.6.gt_patch_size'] = 16
    return small


def _pair_sizes() -> dict:
    pipeline = 'dataloader.dataset.pipeline'
    return {
        'model.discriminator.base_channels': 4,
        f'train_{pipeline}.1.scale': (32, 32),
        f'val_{pipeline}.1.transforms.0.scale': (32, 32),
        # Its networks are fetched
        'val_evaluator.metrics': [dict(type='MomentCalibration', cells=(1,))],
    }


def _global_local_sizes() -> dict:
    small = {}
    for split in 'train', 'val':
        pipeline = f'{split}_dataloader.dataset.pipeline'
        small[f'{pipeline}.1.mask_config'] = dict(
            max_bbox_shape=(32, 32),
            max_bbox_delta=10,
            min_margin=5,
            img_shape=(64, 64),
        )
        small[f'{pipeline}.2.crop_size'] = (80, 80)
        small[f'{pipeline}.3.scale'] = (64, 64)
    for part in 'global', 'local':
        small[f'model.disc.{part}_disc_cfg.max_channels'] = 8
        small[f'model.disc.{part}_disc_cfg.fc_in_channels'] = 8
    # One iteration in each phase of MMagic's schedule.
    phases = {'local_size': (32, 32), 'start_iter': 0, 'iter_tc': 0, 'iter_td': 1}
    return small | {f'model.train_cfg.{key}': v for key, v in phases.items()}


def _deepfill_sizes() -> dict:
    small = {'model.disc.max_channels': 8}
    stage1, stage2 = 'model.encdec.stage1', 'model.encdec.stage2'
    for part in (
        *(f'{stage1}.encoder', f'{stage1}.decoder', f'{stage2}.decoder'),
        *(f'{stage2}.encoder_attention', f'{stage2}.encoder_conv'),
    ):
        small[f'{part}.channel_factor'] = 0.125
    for part in (
        *(f'{stage1}.decoder', f'{stage1}.dilation_neck', f'{stage2}.dilation_neck'),
        f'{stage2}.contextual_attention',
    ):
        small[f'{part}.in_channels'] = 16
    small[f'{stage2}.decoder.in_channels'] = 32
    for split in 'train', 'val':
        pipeline = f'{split}_dataloader.dataset.pipeline'
        small |= {
            f'{pipeline}.1.mask_config.img_shape': (80, 80),
            # A hole that touches all patches of its attention gives NaN
            f'{pipeline}.1.mask_config.area_ratio_range': (0.05, 0.2),
            f'{pipeline}.1.mask_config.length_range': (10, 30),
            f'{pipeline}.1.mask_config.brush_width': (6, 12),
            f'{pipeline}.2.crop_size': (96, 96),
            f'{pipeline}.3.scale': (80, 80),
        }
    return small


def _aot_sizes(masks: Path) -> dict:
    small = {
        'model.encdec.encoder.mid_channels': 4,
        'model.encdec.encoder.out_channels': 16,
        'model.encdec.dilation_neck.in_channels': 16,
        'model.encdec.dilation_neck.num_aotblock': 2,
        'model.encdec.decoder.in_channels': 16,
        'model.encdec.decoder.mid_channels': 8,
        'model.disc.base_channels': 4,
        'train_dataloader.dataset.pipeline.4.scale': (64, 64),
    }
    for split, names in ('train', 'train_mask_list'), ('val', 'mask_0.5-0.6_list'):
        pipeline = f'{split}_dataloader.dataset.pipeline'
        small |= {
            f'{pipeline}.1.mask_config.mask_list_file': str(masks / f'{names}.txt'),
            f'{pipeline}.1.mask_config.prefix': str(masks),
            f'{pipeline}.2.crop_size': (64, 64),
        }
    return small
