"""MMagic's own configs with a proxy loss in six lines; our own over its configs."""

import copy
import math

import pytest
import torch
from helpers import stock, tiny
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
# Data and network of `helpers.stock`.
MADE = {
    'srgan': ('div2k', 'msrresnet'),
    'esrgan': ('div2k', 'rrdb'),
    'edsr': ('div2k', 'edsr'),
    'glcic': ('celeba', 'global_local'),
}
# In three iterations: how often each term is in the log. Global&Local warms up first.
TERMS = {
    'srgan': dict(loss_mr=3, loss_gan_g=3, loss_d_real=3),
    'glcic': dict(loss_mr=2, loss_gan_g=1, loss_d_real=2),
}


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
    kind, network = MADE[host]
    root, work = tmp_path / 'data', tmp_path / 'work'
    stock.write_data(kind, root)

    def run(**changes):
        cfg = Config.fromfile(tmp_path / 'stock.py')
        if host == 'glcic':
            cfg.val_dataloader.dataset.pipeline = copy.deepcopy(
                cfg.train_dataloader.dataset.pipeline
            )
        cfg.merge_from_dict(stock.options(kind, network, root, work))
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
    from helpers.inference import sample_image
    from mmengine.runner import Runner

    from mmagic_mr.inference import load_model

    tiny.quicken_runners()
    host = name.split('_')[0]
    root, work = tmp_path / 'data', tmp_path / 'work'
    kind, network = MADE[host]
    stock.write_data(kind, root)
    cfg = Config.fromfile(tiny.CONFIGS / f'{name}.py')
    cfg.merge_from_dict(
        stock.options(kind, network, root, work) | {'train_cfg.max_iters': 2}
    )
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
