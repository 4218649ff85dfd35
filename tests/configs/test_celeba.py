"""SRGAN and GLCIC on CelebA: the authors' settings, and runs from end to end."""

import importlib.util
import math
import sys

import cv2
import pytest
import torch
from helpers import configs, tiny
from mmengine.registry import MODELS

NAMES = sorted(
    path.stem
    for host in ('srgan', 'glcic')
    for path in tiny.CONFIGS.glob(f'{host}_*_celeba.py')
)
# Loss, order, distribution: weight, min_noise. GLCIC's proxy weight is three times the
# paper's, whose masked loss sums over the channels; its MR weights are ours.
SRGAN = {
    'mr1': ('MRLoss', 1, 'gaussian', 20, 0),
    'mr2': ('MRLoss', 2, 'gaussian', 20, 1e-4),
    'mr1_laplace': ('MRLoss', 1, 'laplace', 20, 0),
    'mr2_laplace': ('MRLoss', 2, 'laplace', 20, 0.01),
    'proxy_mr1': ('ProxyMRLoss', 1, 'gaussian', 2400, 0),
    'proxy_mr2': ('ProxyMRLoss', 2, 'gaussian', 2400, 0),
    'proxy_mr1_laplace': ('ProxyMRLoss', 1, 'laplace', 2400, 0),
    'proxy_mr2_laplace': ('ProxyMRLoss', 2, 'laplace', 2400, 0),
}
GLCIC = {
    'mr1': ('MRLoss', 1, 'gaussian', 100, 0),
    'mr2': ('MRLoss', 2, 'gaussian', 20, 0.01),
    'proxy_mr1': ('ProxyMRLoss', 1, 'gaussian', 3000, 0),
    'proxy_mr2': ('ProxyMRLoss', 2, 'gaussian', 3000, 0),
}
TABLE = {
    f'{host}_{name}_celeba': row
    for host, table in (('srgan', SRGAN), ('glcic', GLCIC))
    for name, row in table.items()
}
# Batch, inputs of G, K, G per D, mean and std, networks in the optimizer
SETTINGS = {
    'srgan': (32, 8, 24, 5, ([127.5] * 3, [127.5] * 3), 'discriminator'),
    'glcic': (16, 8, 12, 3, ([0], [255]), 'disc'),
}


BASELINES = {'srgan_noise_celeba', 'glcic_noise_celeba'}
# Their loss: test_configs.py
RECOMMENDED = {'srgan_recommended_celeba', 'glcic_recommended_celeba'}


def test_the_table_the_baselines_and_the_recommended_are_all_there_is():
    assert set(NAMES) == TABLE.keys() | BASELINES | RECOMMENDED


@pytest.mark.parametrize('name', NAMES)
def test_settings(name):
    cfg = configs.read(name)
    host = name.split('_')[0]
    batch, gen_batch, k, ratio, values, disc = SETTINGS[host]
    assert cfg.train_dataloader.batch_size == batch
    assert cfg.model.gen_updates_per_disc == ratio
    assert cfg.model.noise == host
    preprocessor = cfg.model.data_preprocessor
    assert (list(preprocessor.mean), list(preprocessor.std)) == values
    for part in 'generator', disc:
        assert cfg.optim_wrapper[part].optimizer == configs.ADAM
        assert cfg.optim_wrapper[part].clip_grad == dict(type='value', clip_value=0.5)
    gan = cfg.model.gan_loss if host == 'srgan' else cfg.model.loss_gan
    assert gan.loss_weight == 1
    assert cfg.get('param_scheduler') is None
    assert cfg.default_hooks.checkpoint.out_dir is None
    assert cfg.default_hooks.checkpoint.get('save_best') is None
    assert cfg.get('work_dir') is None
    assert cfg.model.get('perceptual_loss') is None
    hooks = {hook.type: hook for hook in cfg.custom_hooks}
    # Every validation sample is in the picture, below the six others
    assert hooks['CollageHook'].num_samples == cfg.model.eval_num_samples
    assert hooks['CollageHook'].samples_below
    if name in RECOMMENDED:
        assert cfg.model.gen_batch_size == gen_batch
        return
    if name in BASELINES:
        assert cfg.model.mr_loss is None
        assert cfg.model.num_samples == 1
        term = cfg.model.pixel_loss if host == 'srgan' else cfg.model.loss_l1_hole
        assert term.type == 'MSELoss'
        assert term.loss_weight == {'srgan': 1000, 'glcic': 100}[host]
        return
    loss, order, distribution, weight, min_noise = TABLE[name]
    assert cfg.model.num_samples == k
    assert cfg.model.gen_batch_size == gen_batch
    expected = dict(
        type=loss, order=order, distribution=distribution, loss_weight=weight
    )
    if min_noise:
        expected['min_noise'] = min_noise
    assert cfg.model.mr_loss == expected
    assert ('PredictorPretrainHook' in hooks) == (loss == 'ProxyMRLoss')
    if loss == 'ProxyMRLoss':
        nll = dict(type='MomentNLLLoss', order=2, min_noise=0.01)
        assert cfg.custom_hooks[0].nll == nll
        assert cfg.custom_hooks[0].optim_wrapper.optimizer == configs.ADAM


def test_holes_of_the_paper():
    cfg = configs.read('glcic_proxy_mr2_celeba')
    (hole,) = (
        step
        for step in cfg.train_dataloader.dataset.pipeline
        if step.type == 'RandomHole'
    )
    assert (hole.box_size, hole.sides) == (64, (48, 64))
    assert cfg.model.train_cfg.local_size == (64, 64)
    for loader in cfg.val_dataloader, cfg.test_dataloader:
        steps = [step.type for step in loader.dataset.pipeline]
        assert steps == ['LoadImageFromFile', 'LoadMask', 'FillHole', 'PackInputs']


@pytest.mark.parametrize('host', SETTINGS)
def test_networks_fit_the_sizes(host):
    """Unreduced: both networks take images of the paper's size."""
    import mmagic_mr.plugin  # noqa: F401

    cfg = configs.read(f'{host}_mr1_celeba')
    model = MODELS.build(cfg.model).to('meta')
    if host == 'srgan':
        x = torch.empty(2, 3, 16, 16, device='meta')
        samples = model.generator(x)
        assert samples.shape == (2, 3, 64, 64)
        assert model.discriminator(samples).shape == (2, 1)
        assert len(model.noise_sites) == 16
    else:
        x = torch.empty(2, 4, 128, 128, device='meta')
        samples = model.generator(x)
        assert samples.shape == (2, 3, 128, 128)
        assert model.disc((samples, samples[..., :64, :64])).shape == (2, 1)
        assert len(model.noise_sites) == 3


@pytest.fixture(scope='module')
def faces(tmp_path_factory):
    return tiny.write_faces(tmp_path_factory.mktemp('faces') / 'data')


@pytest.mark.parametrize('name', NAMES)
def test_builds(name, faces, tmp_path):
    runner = configs.build(name, faces, tmp_path)
    configs.check_built(runner, *TABLE.get(name, ()))
    host, model = name.split('_')[0], runner.model
    term = {'srgan': 'pixel_loss', 'glcic': 'loss_l1_hole'}[host]
    if name not in BASELINES:
        assert getattr(model, term, None) is None
    else:
        assert getattr(model, term).loss_weight == {'srgan': 1000, 'glcic': 100}[host]


# One of each host and kind of loss; resuming and sampling ask the same of all.
@pytest.mark.parametrize(
    'name',
    [
        'srgan_noise_celeba',
        'srgan_mr2_laplace_celeba',
        'srgan_proxy_mr2_celeba',
        'glcic_noise_celeba',
        'glcic_mr2_celeba',
        'glcic_proxy_mr1_celeba',
        'glcic_recommended_celeba',
    ],
)
def test_trains_validates_tests_resumes_and_samples(name, faces, tmp_path):
    from helpers.inference import sample_image
    from mmengine.runner import Runner

    from mmagic_mr.inference import load_model

    cfg = tiny.load(name, faces, tmp_path)
    proxy = 'proxy' in name
    runner = Runner.from_cfg(cfg)
    runner.train()
    logged = {
        key: buffer.data[0] for key, buffer in runner.message_hub.log_scalars.items()
    }
    assert all(math.isfinite(v) for values in logged.values() for v in values)
    assert ('train/loss_mr' in logged) == ('mr' in name)
    assert ('train/loss_crps' in logged) == ('recommended' in name)
    assert ('train/pred_std' in logged) == proxy
    assert len(logged['train/loss_gan_g']) == 2
    assert len(logged['train/loss_d_real']) == 1  # of 5 or 3 updates of G
    assert {'val/PSNR', 'val/SSIM', 'val/MAE'} <= logged.keys()
    assert (tmp_path / 'predictor' / 'best.pth').is_file() == proxy
    assert (tmp_path / 'vis' / 'collage_000002.png').is_file()

    cfg = tiny.load(name, faces, tmp_path, **{'train_cfg.max_iters': 3})
    cfg.resume = True
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 3
    runner.test()
    assert math.isfinite(runner.message_hub.get_scalar('test/PSNR').current())

    model = load_model(cfg, str(tmp_path / 'iter_3.pth'))
    for parameter, weight in zip(
        runner.model.parameters(), model.parameters(), strict=True
    ):
        assert torch.equal(parameter, weight)
    inpainting = name.startswith('glcic')
    kind = 'gt' if inpainting else 'lq'
    mask = faces / 'test/masks/1.png' if inpainting else None
    one, other = (
        sample_image(model, faces / f'test/{kind}/1.png', 2, seed, mask=mask)
        for seed in (0, 1)
    )
    assert one.samples.shape == (2, 3, 32, 32)
    assert not torch.equal(one.samples, other.samples)


def sample_tool(monkeypatch, *args):
    """tools/sample.py in this process; what it stops with, or None."""
    from mmagic_mr import cli

    path = tiny.CONFIGS.parent / 'tools/sample.py'
    spec = importlib.util.spec_from_file_location('tool', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, 'argv', ['sample.py', *map(str, args)])
    try:
        with cli.short_errors():
            module.main()
    except SystemExit as stopped:
        return str(stopped)
    return None


@pytest.mark.parametrize('host', SETTINGS)
def test_sample_tool(host, faces, tmp_path, monkeypatch):
    name = f'{host}_proxy_mr2_celeba'
    model = MODELS.build(tiny.load(name, faces, tmp_path).model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
    inpainting = host == 'glcic'
    kind = 'gt' if inpainting else 'lq'
    mask = ['--mask', faces / 'test/masks'] if inpainting else []
    sizes = ['--cfg-options']
    sizes += [f'{k}={v}'.replace(' ', '') for k, v in tiny.NETWORKS[host](32).items()]
    start = [name, tmp_path / 'model.pth', faces / 'test' / kind]
    start += ['--num-samples', 2, '--out', tmp_path / 'out']
    assert sample_tool(monkeypatch, *start, *mask, *sizes) is None
    for i in range(3):
        assert (tmp_path / f'out/{i}.png').is_file()
        samples = [
            cv2.imread(str(tmp_path / f'out/{i}/{k:03d}.png')).astype(int)
            for k in range(2)
        ]
        assert samples[0].shape == (32, 32, 3)
        if inpainting:
            face = cv2.imread(str(faces / f'test/gt/{i}.png')).astype(int)
            hole = cv2.imread(str(faces / f'test/masks/{i}.png')) > 0
            for sample in samples:
                assert (sample[~hole] == face[~hole]).all()
                assert (sample[hole] != face[hole]).mean() > 0.9
    if inpainting:
        error = sample_tool(monkeypatch, *start, *sizes)
        assert 'inpainting needs a mask, white in the hole (--mask FILE)' in error
        error = sample_tool(monkeypatch, *start, '--mask', tmp_path, *sizes)
        assert error == f'error: no mask {tmp_path}/0.png'
    else:
        error = sample_tool(monkeypatch, *start, '--pair', *sizes)
        assert 'super-resolution takes the small image alone' in error
        mask = ['--mask', faces / 'test/masks']
        error = sample_tool(monkeypatch, *start, *mask, *sizes)
        assert 'MRSRGAN takes no mask' in error
