"""MMagic's configs of Real-ESRGAN, DeepFillv2 and AOT-GAN with a few changed lines."""

import copy
import math

import cv2
import numpy as np
import pytest
import torch
from helpers import tiny
from mmengine.config import Config

import mmagic_mr.plugin  # noqa: F401  (before a test reaches into MMagic)

# Name -> MMagic's config, what is changed in it.
STOCK = {
    'real_esrgan': (
        'real_esrgan/realesrgan_c64b23g32_4xb12-lr1e-4-400k_df2k-ost.py',
        'MRRealESRGAN',
        'rrdb',
    ),
    'two_stage': (
        'deepfillv2/deepfillv2_8xb2_celeba-256x256.py',
        'MRTwoStageInpaintor',
        'deepfill',
    ),
    'aot': ('aot_gan/aot-gan_smpgan_4xb4_places-512x512.py', 'MRAOTInpaintor', 'aot'),
}
REPLACED = {
    'real_esrgan': 'pixel_loss (L1Loss), perceptual_loss (PerceptualLoss)',
    'two_stage': 'loss_l1_hole of the second stage, loss_l1_valid of the second stage',
    'aot': 'loss_l1_valid (L1Loss), loss_composed_percep (PerceptualLoss)',
}
LINES = """
custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
model = dict(type='{}',
             noise='{}',
             num_samples=2,
             sample_losses=dict(crps=dict(type='CRPSLoss', loss_weight='auto')))
"""


def write_data(host, root):
    rng = np.random.default_rng(0)

    def write(path, side):
        path.parent.mkdir(parents=True, exist_ok=True)
        blocks = rng.integers(0, 256, (side // 4, side // 4, 3), np.uint8)
        cv2.imwrite(str(path), blocks.repeat(4, 0).repeat(4, 1))

    names = [f'{i}.png' for i in range(2)]
    for name in names:
        write(root / name, 96)
        write(root / 'LRbicx4' / name, 24)
        mask = np.zeros((96, 96), np.uint8)
        mask[30:70, 20:60] = 255
        (root / 'masks').mkdir(exist_ok=True)
        cv2.imwrite(str(root / 'masks' / name), mask)
    (root / 'list.txt').write_text(''.join(f'{name}\n' for name in names))


def sizes(host, root, work_dir) -> dict:
    """Paths, iterations and sizes for a test; nothing of the method."""
    small = {
        'work_dir': str(work_dir),
        'default_hooks.checkpoint.out_dir': None,
        'default_hooks.checkpoint.interval': 2,
        'default_hooks.logger.interval': 1,
        'train_cfg.max_iters': 2,
        'train_cfg.val_interval': 2,
        'train_dataloader.batch_size': 2,
    }
    for split in 'train', 'val':
        data = f'{split}_dataloader.dataset'
        small |= {
            f'{split}_dataloader.num_workers': 0,
            f'{data}.data_root': str(root),
            f'{data}.ann_file': 'list.txt',
            f'{data}.data_prefix': dict(gt=''),
        }
    return small | SIZES[host](root)


def sizes_of_real_esrgan(root) -> dict:
    target = dict(target_size=(24, 24), resize_opt=['area'], resize_prob=[1.0])
    shuffled = [[dict(type='RandomResize', params=target)]]
    pipeline = 'train_dataloader.dataset.pipeline'
    return {
        'model.generator.mid_channels': 4,
        'model.generator.num_blocks': 2,
        'model.generator.growth_channels': 4,
        'model.discriminator.mid_channels': 2,
        'train_dataloader.dataset.data_prefix': dict(gt='', img=''),
        'val_dataloader.dataset.data_prefix': dict(gt='', img='LRbicx4'),
        f'{pipeline}.2.crop_size': (96, 96),
        f'{pipeline}.12.degradations': shuffled,
        f'{pipeline}.16.gt_patch_size': 64,
    }


def sizes_of_two_stage(root) -> dict:
    small = {'model.disc.max_channels': 8}
    factor = 0.125
    stage1, stage2 = 'model.encdec.stage1', 'model.encdec.stage2'
    for part in (
        *(f'{stage1}.encoder', f'{stage1}.decoder', f'{stage2}.decoder'),
        *(f'{stage2}.encoder_attention', f'{stage2}.encoder_conv'),
    ):
        small[f'{part}.channel_factor'] = factor
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


def sizes_of_aot(root) -> dict:
    masks = {'mask_list_file': str(root / 'list.txt'), 'prefix': str(root / 'masks')}
    small = {
        'model.encdec.encoder.mid_channels': 4,
        'model.encdec.encoder.out_channels': 16,
        'model.encdec.dilation_neck.in_channels': 16,
        'model.encdec.dilation_neck.num_aotblock': 2,
        'model.encdec.decoder.in_channels': 16,
        'model.encdec.decoder.mid_channels': 8,
        'model.disc.base_channels': 4,
        'train_dataloader.dataset.pipeline.2.crop_size': (64, 64),
        'train_dataloader.dataset.pipeline.4.scale': (64, 64),
        'val_dataloader.dataset.pipeline.2.crop_size': (96, 96),
    }
    for split in 'train', 'val':
        pipeline = f'{split}_dataloader.dataset.pipeline'
        small |= {f'{pipeline}.1.mask_config.{k}': v for k, v in masks.items()}
    return small


SIZES = {
    'real_esrgan': sizes_of_real_esrgan,
    'two_stage': sizes_of_two_stage,
    'aot': sizes_of_aot,
}


@pytest.mark.parametrize('host', STOCK)
def test_it_trains_resumes_and_draws(host, tmp_path, monkeypatch):
    from mmengine.runner import Runner

    tiny.quicken_runners()

    def fetched(*args, **kwargs):
        raise AssertionError(f'fetched {args}')

    monkeypatch.setattr('mmagic.models.losses.PerceptualLoss.__init__', fetched)
    base, *names = STOCK[host]
    lines = f"_base_ = 'mmagic::{base}'\n{LINES.format(*names)}"
    (tmp_path / 'stock.py').write_text(lines)
    root = tmp_path / 'data'
    write_data(host, root)

    def run(**changes):
        cfg = Config.fromfile(tmp_path / 'stock.py')
        cfg.merge_from_dict(sizes(host, root, tmp_path / 'work') | changes)
        cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
        runner = Runner.from_cfg(cfg)
        runner.train()
        return runner

    runner = run()
    logged = {
        key: buffer.data[0] for key, buffer in runner.message_hub.log_scalars.items()
    }
    for term in 'loss_crps', 'loss_gan_g', 'loss_d_real', 'loss_d_fake':
        assert len(logged[f'train/{term}']) == 2, term
    stage1 = {'train/stage1_loss_l1_hole', 'train/stage1_loss_l1_valid'}
    assert (stage1 <= logged.keys()) == (host == 'two_stage')
    assert not [n for n in logged if 'stage2_loss' in n or 'percep' in n]
    assert all(math.isfinite(v) for values in logged.values() for v in values)
    assert 'val/PSNR' in logged
    (log,) = (tmp_path / 'work').glob('*/*.log')
    assert f'CRPSLoss replaces {REPLACED[host]}' in log.read_text()

    resumed = run(**{'resume': True, 'train_cfg.max_iters': 3})
    assert resumed.iter == 3
    model = resumed.model.eval()
    if host == 'real_esrgan':  # moved by the hook of MMagic's config
        own, average = (
            dict(network.named_parameters())
            for network in (model.generator, model.generator_ema)
        )
        apart = [n for n in own if not torch.equal(own[n], average[n])]
        assert [n for n in apart if '.noise.' in n]
        assert model.sampled_network is model.generator_ema
    if host == 'two_stage':  # MMagic starts small, and so do input and noise
        for parameter in model.generator.parameters():
            parameter.data.mul_(20)
    data = next(iter(resumed.val_dataloader))
    one, other = (model.val_step(copy.deepcopy(data), 2, seed)[0] for seed in (0, 1))
    assert one.samples.shape[0] == 2
    assert not torch.equal(one.samples, other.samples)
    if host != 'real_esrgan':
        known = (one.mask == 0).expand_as(one.gt_img)
        for sample in one.samples:
            assert torch.equal(sample[known].round(), one.gt_img[known])
