"""The recipes of configs/swap: six lines over configs of MMagic, and a run of each."""

import copy
import math

import pytest
import torch
from helpers import stock, tiny
from mmengine.config import Config

import mmagic_mr.plugin  # noqa: F401  (before a test reaches into MMagic)

SWAP = tiny.CONFIGS / 'swap'
# Recipe -> data, network, what the log says is replaced, and what is kept
PERCEPTUAL = 'pixel_loss (L1Loss), perceptual_loss (PerceptualLoss); gan_loss stays'
RECIPES = {
    'pix2pix_facades': ('pairs', 'unet', '100.0 (L1); the GAN loss stays'),
    'pix2pix_edges2shoes': ('pairs', 'unet', '100.0 (L1); the GAN loss stays'),
    'pix2pix_maps2aerial': ('pairs', 'unet', '100.0 (L1); the GAN loss stays'),
    'srgan_x4': ('div2k', 'msrresnet', PERCEPTUAL),
    'esrgan_x4': ('div2k', 'rrdb', PERCEPTUAL),
    'edsr_x4': ('div2k', 'edsr', 'pixel_loss (L1Loss)'),
    'rdn_x4': ('div2k', 'rdn', 'pixel_loss (L1Loss)'),
    'swinir_x4': ('div2k', 'swinir', 'pixel_loss (L1Loss)'),
    'nafnet_denoise': ('sidd', 'nafnet', 'pixel_loss (PSNRLoss)'),
    'nafnet_deblur': ('gopro', 'nafnet', 'pixel_loss (PSNRLoss)'),
    'global_local_places': ('places', 'global_local', '(L1Loss); loss_gan stays'),
    'global_local_celeba': ('celeba', 'global_local', '(L1Loss); loss_gan stays'),
}


def lines(path):
    """What a recipe changes: all but its base and comments."""
    text = path.read_text().splitlines()
    return [line for line in text if line and line[0] != '#' and '_base_' not in line]


def load(name, root, work, **changes):
    tiny.quicken_runners()
    cfg = Config.fromfile(SWAP / f'{name}.py')
    kind, network, _ = RECIPES[name]
    if network == 'global_local':  # its two pipelines are one object
        loader = cfg.val_dataloader.dataset
        loader.pipeline = copy.deepcopy(cfg.train_dataloader.dataset.pipeline)
    cfg.merge_from_dict(stock.options(kind, network, root, work))
    if kind == 'pairs' and 'Crop' in cfg.train_dataloader.dataset.pipeline[2].type:
        cfg.train_dataloader.dataset.pipeline[2].crop_size = (32, 32)
    # Tests are on other data sets
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    cfg.merge_from_dict(changes)
    return cfg


def test_the_table_is_all_there_is():
    assert {path.stem for path in SWAP.glob('*.py')} == RECIPES.keys()


@pytest.mark.parametrize('name', RECIPES)
def test_a_recipe(name, tmp_path, monkeypatch):
    """At most six lines; trains, resumes, draws samples, and says what it replaced."""
    from mmengine.runner import Runner

    def fetched(*args, **kwargs):
        raise AssertionError(f'fetched {args}')

    monkeypatch.setattr('torch.hub.load_state_dict_from_url', fetched)
    monkeypatch.setattr('mmagic.models.losses.PerceptualLoss.__init__', fetched)
    assert len(lines(SWAP / f'{name}.py')) <= 6
    kind, _, said = RECIPES[name]
    stock.write_data(kind, tmp_path / 'data')
    cfg = load(name, tmp_path / 'data', tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    runner.train()
    scalars = runner.message_hub.log_scalars
    logged = {key: buffer.data[0] for key, buffer in scalars.items()}
    assert len(logged['train/loss_crps']) >= 2
    assert ('train/loss_gan_g' in logged) == ('stays' in said)
    assert not {'train/loss_pix', 'train/loss_pixel', 'train/loss_l1_hole'} & set(
        logged
    )
    assert all(math.isfinite(v) for values in logged.values() for v in values)
    (log,) = (tmp_path / 'work').glob('*/*.log')
    (line,) = (row for row in log.read_text().splitlines() if 'replaces' in row)
    assert said in line

    cfg = load(
        name,
        tmp_path / 'data',
        tmp_path / 'work',
        **{'resume': True, 'train_cfg.max_iters': 4},
    )
    resumed = Runner.from_cfg(cfg)
    resumed.train()
    assert resumed.iter == 4
    model = resumed.model.eval()
    data = next(iter(resumed.val_dataloader))
    one, other = (model.val_step(copy.deepcopy(data), 2, seed)[0] for seed in (0, 1))
    assert one.samples.shape[0] == 2
    assert not torch.equal(one.samples[0], one.samples[1])
    assert not torch.equal(one.samples, other.samples)
