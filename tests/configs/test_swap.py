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
STAGES = (
    'loss_l1_hole of the second stage, loss_l1_valid of the second stage; '
    'loss_gan stays; loss_l1_hole of the first stage stays; '
    'loss_l1_valid of the first stage stays'
)
AOT = 'loss_l1_valid (L1Loss), loss_composed_percep (PerceptualLoss); loss_gan stays'
RECIPES = {
    'pix2pix_facades': ('pairs', 'unet', '100.0 (L1); the GAN loss stays'),
    'pix2pix_edges2shoes': ('pairs', 'unet', '100.0 (L1); the GAN loss stays'),
    'pix2pix_maps2aerial': ('pairs', 'unet', '100.0 (L1); the GAN loss stays'),
    'srgan_x4': ('div2k', 'msrresnet', PERCEPTUAL),
    'esrgan_x4': ('div2k', 'rrdb', PERCEPTUAL),
    'real_esrgan_x4': ('df2k_ost', 'rrdb', PERCEPTUAL),
    'edsr_x4': ('div2k', 'edsr', 'pixel_loss (L1Loss)'),
    'rdn_x4': ('div2k', 'rdn', 'pixel_loss (L1Loss)'),
    'swinir_x4': ('div2k', 'swinir', 'pixel_loss (L1Loss)'),
    'nafnet_denoise': ('sidd', 'nafnet', 'pixel_loss (PSNRLoss)'),
    'nafnet_deblur': ('gopro', 'nafnet', 'pixel_loss (PSNRLoss)'),
    'global_local_places': ('places', 'global_local', '(L1Loss); loss_gan stays'),
    'global_local_celeba': ('celeba', 'global_local', '(L1Loss); loss_gan stays'),
    'deepfillv2_places': ('places', 'deepfill', STAGES),
    'deepfillv2_celeba': ('celeba', 'deepfill', STAGES),
    'aot_gan_places': ('places', 'aot', AOT),
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
    kind, network, said = RECIPES[name]
    stock.write_data(kind, tmp_path / 'data')
    cfg = load(name, tmp_path / 'data', tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    runner.train()
    scalars = runner.message_hub.log_scalars
    logged = {key: buffer.data[0] for key, buffer in scalars.items()}
    assert len(logged['train/loss_crps']) >= 2
    for term in 'loss_gan_g', 'loss_d_real', 'loss_d_fake':
        assert (f'train/{term}' in logged) == ('stays' in said), term
    gone = 'loss_pix', 'loss_l1', 'percep', 'style', 'stage2'
    assert not [
        key
        for key in logged
        if any(term in key for term in gone) and 'stage1' not in key
    ]
    coarse = {'train/stage1_loss_l1_hole', 'train/stage1_loss_l1_valid'}
    assert (coarse <= logged.keys()) == (network == 'deepfill')
    assert all(math.isfinite(v) for values in logged.values() for v in values)
    assert kind == 'pairs' or any('PSNR' in key for key in logged)
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
    if name == 'real_esrgan_x4':
        check_average(model)
    if network == 'deepfill':  # MMagic starts small, and so do input and noise
        for parameter in model.generator.parameters():
            parameter.data.mul_(20)
    data = next(iter(resumed.val_dataloader))
    one, other = (model.val_step(copy.deepcopy(data), 2, seed)[0] for seed in (0, 1))
    assert one.samples.shape[0] == 2
    assert not torch.equal(one.samples[0], one.samples[1])
    assert not torch.equal(one.samples, other.samples)
    if 'mask' in one:
        known = (one.mask == 0).expand_as(one.gt_img)
        for sample in one.samples:
            assert torch.equal(sample[known].round(), one.gt_img[known])


def check_average(model):
    """The hook of MMagic's config has moved it, noise weights and all."""
    own, average = (
        dict(network.named_parameters())
        for network in (model.generator, model.generator_ema)
    )
    apart = [n for n in own if not torch.equal(own[n], average[n])]
    assert [n for n in apart if '.noise.' in n]
    assert model.sampled_network is model.generator_ema
