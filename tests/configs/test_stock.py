"""MMagic's own configs with six changed lines: they train, resume and draw samples."""

import copy
import math

import cv2
import numpy as np
import pytest
import torch
from helpers import tiny
from mmengine.config import Config

import mmagic_mr.plugin  # noqa: F401  (before a test reaches into MMagic)

# Name -> MMagic's config, what is changed in it, what the log says is replaced.
STOCK = {
    'srgan': (
        'mmagic::srgan_resnet/srgan_x4c64b16_1xb16-1000k_div2k.py',
        """
custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
model = dict(type='MRSRGAN',
             noise='srgan',
             num_samples=10,
             mr_loss=dict(type='ProxyMRLoss', loss_weight=12.0, value_scale=2.0))
custom_hooks = [dict(type='PredictorPretrainHook', max_iters=2, val_interval=1), *_base_.custom_hooks]
""",  # noqa: E501
        'ProxyMRLoss replaces pixel_loss (L1Loss), perceptual_loss (PerceptualLoss)',
    ),
    'esrgan': (
        'mmagic::esrgan/esrgan_x4c64b23g32_1xb16-400k_div2k.py',
        """
custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
model = dict(type='MRESRGAN',
             noise='rrdb',
             num_samples=10,
             sample_losses=dict(crps=dict(type='CRPSLoss', loss_weight=1.2)))
""",
        'CRPSLoss replaces pixel_loss (L1Loss), perceptual_loss (PerceptualLoss)',
    ),
    'edsr': (
        'mmagic::edsr/edsr_x4c64b16_1xb16-300k_div2k.py',
        """
custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
model = dict(type='MREditModel',
             noise='edsr',
             num_samples=10,
             sample_losses=dict(crps=dict(type='CRPSLoss', loss_weight=1.0)))
""",
        'CRPSLoss replaces pixel_loss (L1Loss)',
    ),
    'glcic': (
        'mmagic::global_local/gl_8xb12_celeba-256x256.py',
        """
custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
model = dict(type='MRGLInpaintor',
             noise='glcic',
             num_samples=10,
             mr_loss=dict(type='ProxyMRLoss', loss_weight=3.0, value_scale=0.5))
custom_hooks = [dict(type='PredictorPretrainHook', max_iters=2, val_interval=1), *_base_.custom_hooks]
""",  # noqa: E501
        'ProxyMRLoss replaces loss_l1_hole (L1Loss)',
    ),
}
# In three iterations: how often each term is in the log. Global&Local warms up first.
TERMS = {
    'srgan': dict(loss_mr=3, loss_gan_g=3, loss_d_real=3),
    'esrgan': dict(loss_crps=3, loss_gan_g=3, loss_d_real=3),
    'edsr': dict(loss_crps=3),
    'glcic': dict(loss_mr=2, loss_gan_g=1, loss_d_real=2),
}


def write_stock_data(host, root):
    """DIV2K with Set14 or Set5, or CelebA-HQ, in the folders of MMagic's configs."""
    rng = np.random.default_rng(0)

    def write(path, side):
        path.parent.mkdir(parents=True, exist_ok=True)
        blocks = rng.integers(0, 256, (side // 4, side // 4, 3), np.uint8)
        cv2.imwrite(str(path), blocks.repeat(4, 0).repeat(4, 1))

    names = [f'{i}.png' for i in range(2)]
    for name in names:
        if host == 'glcic':
            write(root / name, 96)
        else:
            write(root / 'DIV2K_train_HR_sub' / name, 224)
            write(root / 'DIV2K_train_LR_bicubic/X4_sub' / name, 56)
            write(root / 'GTmod12' / name, 48)
            write(root / 'LRbicx4' / name, 12)
    lines = ''.join(f'{name} (224,224,3)\n' for name in names)
    for file in 'meta_info_DIV2K800sub_GT', 'train_celeba_img_list':
        (root / f'{file}.txt').write_text(lines)
    (root / 'val_celeba_img_list.txt').write_text(lines)


def stock_sizes(host, root, work_dir) -> dict:
    """Paths, iterations and sizes for a test; nothing of the method."""
    small = {
        'work_dir': str(work_dir),
        'default_hooks.checkpoint.out_dir': None,
        'default_hooks.logger.interval': 1,
        'train_cfg.max_iters': 3,
        'train_cfg.val_interval': 3,
        'model.num_samples': 2,
    }
    for split in 'train', 'val':
        small[f'{split}_dataloader.dataset.data_root'] = str(root)
        small[f'{split}_dataloader.num_workers'] = 0
    small['train_dataloader.batch_size'] = 2
    if host == 'glcic':
        return small | inpainting_sizes()
    small |= {'model.generator.mid_channels': 4, 'model.generator.num_blocks': 2}
    if host == 'edsr':
        return small
    small['model.discriminator.mid_channels'] = 4
    if host == 'esrgan':  # and no weights are fetched
        small |= {
            'model.generator.growth_channels': 4,
            'model.generator.init_cfg': None,
        }
    return small


def inpainting_sizes() -> dict:
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
    phases = {'local_size': (32, 32), 'iter_tc': 0, 'iter_td': 1}
    return small | {f'model.train_cfg.{key}': v for key, v in phases.items()}


@pytest.mark.parametrize('host', STOCK)
def test_six_lines(host, tmp_path, monkeypatch):
    from mmengine.runner import Runner

    tiny.quicken_runners()

    def fetched(*args, **kwargs):
        raise AssertionError(f'fetched {args}')

    monkeypatch.setattr('torch.hub.load_state_dict_from_url', fetched)
    monkeypatch.setattr('mmagic.models.losses.PerceptualLoss.__init__', fetched)
    base, lines, replaced = STOCK[host]
    assert len(lines.strip().splitlines()) <= 6
    (tmp_path / 'stock.py').write_text(f'_base_ = {base!r}\n{lines}')
    write_stock_data(host, tmp_path / 'data')

    def run(**changes):
        cfg = Config.fromfile(tmp_path / 'stock.py')
        if host == 'glcic':
            cfg.val_dataloader.dataset.pipeline = copy.deepcopy(
                cfg.train_dataloader.dataset.pipeline
            )
        cfg.merge_from_dict(stock_sizes(host, tmp_path / 'data', tmp_path / 'work'))
        # Tests are on other data sets.
        cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
        cfg.merge_from_dict(changes)
        runner = Runner.from_cfg(cfg)
        runner.train()
        return runner

    runner = run()
    logged = {
        key: buffer.data[0] for key, buffer in runner.message_hub.log_scalars.items()
    }
    for term, count in TERMS[host].items():
        assert len(logged[f'train/{term}']) == count, term
    assert not {'train/loss_pix', 'train/loss_l1_hole'} & logged.keys()
    assert all(math.isfinite(v) for values in logged.values() for v in values)
    assert 'val/PSNR' in logged
    (log,) = (tmp_path / 'work').glob('*/*.log')
    assert replaced in log.read_text()

    resumed = run(**{'resume': True, 'train_cfg.max_iters': 4})
    assert resumed.iter == 4
    model = resumed.model.eval()
    data = next(iter(resumed.val_dataloader))
    one, other = (model.val_step(copy.deepcopy(data), 2, seed)[0] for seed in (0, 1))
    assert one.samples.shape[0] == 2
    assert not torch.equal(one.samples, other.samples)


@pytest.mark.parametrize('name', ['esrgan_crps_div2k', 'edsr_crps_div2k'])
def test_our_configs_train_and_sample(name, tmp_path):
    from mmengine.runner import Runner

    from mmagic_mr.inference import load_model, sample_image

    tiny.quicken_runners()
    host = name.split('_')[0]
    root, work = tmp_path / 'data', tmp_path / 'work'
    write_stock_data(host, root)
    cfg = Config.fromfile(tiny.CONFIGS / f'{name}.py')
    cfg.merge_from_dict(stock_sizes(host, root, work) | {'train_cfg.max_iters': 2})
    several = cfg.test_dataloader  # of MMagic: Set5, Set14, DIV2K
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    runner = Runner.from_cfg(cfg)
    runner.train()
    logged = runner.message_hub.log_scalars
    assert len(logged['train/loss_crps'].data[0]) == 2
    assert ('train/loss_gan_g' in logged) == (host == 'esrgan')
    assert (work / 'vis' / 'collage_000002.png').is_file()

    cfg.test_dataloader = several
    model = load_model(cfg, work / 'iter_2.pth')
    output = sample_image(model, root / 'LRbicx4' / '0.png', 3, seed=0)
    assert output.samples.shape == (3, 3, 48, 48)
    assert output.samples.var(0).mean() > 0
