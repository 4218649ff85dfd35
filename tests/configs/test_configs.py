"""Pix2Pix: settings of every config, and a run of one for each kind of loss."""

import math

import pytest
from helpers import tiny
from helpers.configs import ADAM, build, check_built, check_optimizer, read

# Those of the demo, the letters and one's own pictures have tests of their own
NAMES = sorted(
    path.stem
    for path in tiny.CONFIGS.glob('pix2pix_*.py')
    if not path.stem.endswith(('_demo', '_fonts', '_paired'))
)

# Weights in the authors' code. Rows: dataset and distribution. Columns: MR1, MR2,
# proxy MR1, proxy MR2
WEIGHTS = {
    ('cityscapes', 'gaussian'): (10, 10, 10, 10),
    ('cityscapes', 'laplace'): (10, 10, 1, 1),
    ('maps', 'gaussian'): (100, 10, 300, 1000),
    ('maps', 'laplace'): (10, 1, 10, 10),
}
LOSSES = ('MRLoss', 1), ('MRLoss', 2), ('ProxyMRLoss', 1), ('ProxyMRLoss', 2)
INPUT_NORM = {
    'cityscapes': ((0.3946, 0.2806, 0.3847), (0.2302, 0.1883, 0.2214)),
    'maps': ((0.8767, 0.8899, 0.8668), (0.0926, 0.0601, 0.1292)),
}


def table():
    """(config name, dataset, distribution, loss type, order, weight), from WEIGHTS."""
    for (data, distribution), weights in WEIGHTS.items():
        for (loss, order), weight in zip(LOSSES, weights, strict=True):
            proxy = 'proxy_' if loss == 'ProxyMRLoss' else ''
            laplace = '_laplace' if distribution == 'laplace' else ''
            name = f'pix2pix_{proxy}mr{order}{laplace}_{data}'
            yield name, data, distribution, loss, order, weight


def test_the_table_the_baselines_and_the_recommended_are_all_there_is():
    others = {
        'pix2pix_noise_cityscapes',
        'pix2pix_noise_maps',
        'pix2pix_gan_cityscapes',
        'pix2pix_recommended_cityscapes',
        'pix2pix_recommended_maps',
    }
    assert {row[0] for row in table()} | others == set(NAMES)


@pytest.mark.parametrize(
    ('name', 'data', 'distribution', 'loss', 'order', 'weight'), list(table())
)
def test_mr_settings(name, data, distribution, loss, order, weight):
    cfg = read(name)
    assert cfg.model.mr_loss == {
        'type': loss,
        'distribution': distribution,
        'order': order,
        'loss_weight': weight,
    }
    assert cfg.model.num_samples == 10
    assert cfg.model.gen_batch_size == 8
    hooks = {hook.type: hook for hook in cfg.custom_hooks}
    if loss == 'MRLoss':
        assert 'predictor' not in cfg.model
        assert 'PredictorPretrainHook' not in hooks
    else:
        assert cfg.model.predictor == {'type': 'MomentPredictor'}
        # the authors train P with order 2 whatever order the generator uses; the
        # distribution is left to follow mr_loss
        hook = cfg.custom_hooks[0]
        assert hook.type == 'PredictorPretrainHook'
        assert hook.nll == {'type': 'MomentNLLLoss', 'order': 2}
        assert hook.optim_wrapper == cfg.optim_wrapper.generators


@pytest.mark.parametrize('name', NAMES)
def test_common_settings(name):
    cfg = read(name)
    data = name.split('_')[-1]
    assert cfg.train_dataloader.batch_size == 16
    assert cfg.model.gen_updates_per_disc == 1
    assert cfg.model.noise == 'pix2pix'
    assert cfg.model.generator.use_dropout is False
    assert cfg.model.generator.num_down == 8
    input_norm = cfg.model.input_norm
    assert (input_norm.mean, input_norm.std) == INPUT_NORM[data]
    for part in 'generators', 'discriminators':
        assert cfg.optim_wrapper[part].optimizer == ADAM
        assert cfg.optim_wrapper[part].clip_grad == {'type': 'value', 'clip_value': 0.5}
    assert 'param_scheduler' not in cfg
    assert cfg.default_hooks.checkpoint.out_dir is None
    assert cfg.default_scope == 'mmagic'
    for loader in cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader:
        assert loader.dataset.data_root == f'data/{data}'
        # photo left, label right, and no random change but Maps' crop
        load, *crop, pack = loader.dataset.pipeline
        assert (load.domain_a, load.domain_b) == (
            cfg.model.default_domain,
            {'cityscapes': 'label', 'maps': 'map'}[data],
        )
        assert [step.type for step in crop] == ['StrictCrop'] * (data == 'maps')
        assert pack.type == 'PackInputs'
    if data == 'maps':
        position = [
            loader.dataset.pipeline[1].get('crop_pos')
            for loader in (cfg.train_dataloader, cfg.val_dataloader)
        ]
        assert position == [None, (0, 0)]


@pytest.mark.parametrize(
    'name',
    [
        'pix2pix_recommended_cityscapes',
        'pix2pix_recommended_maps',
        'srgan_recommended_celeba',
        'glcic_recommended_celeba',
        'pix2pix_recommended_demo',
        'srgan_recommended_demo',
        'glcic_recommended_demo',
    ],
)
def test_the_recommended_settings_are_the_same_for_all(name):
    model = read(name).model
    assert model.sample_losses == {'crps': read('pix2pix_recommended_demo').mr_crps}
    assert model.sample_losses.crps.loss_weight == 'auto'
    assert model.num_samples == 6
    # Not in the demos, whose numbers are older: studies/recommended_demo.py has both
    assert model.get('ema') == (None if 'demo' in name else dict(decay=0.999))
    assert 'mr_loss' not in model
    assert 'balance' not in model


@pytest.mark.parametrize('host', ['pix2pix', 'srgan', 'glcic'])
def test_switches_are_on_where_recommended_and_off_in_the_papers(host):
    data = 'cityscapes' if host == 'pix2pix' else 'celeba'
    for loss in 'recommended', 'mr2', 'noise':
        cfg = read(f'{host}_{loss}_{data}')
        on = loss == 'recommended'
        assert cfg.model.get('channels_last', False) == on
        wrappers = [w for w in cfg.optim_wrapper.values() if isinstance(w, dict)]
        assert len(wrappers) == 2
        for wrapper in wrappers:
            assert wrapper.type == ('FastOptimWrapper' if on else 'OptimWrapper')
            assert wrapper.optimizer.amsgrad
            assert wrapper.clip_grad.clip_value == 0.5


@pytest.mark.parametrize('data', ['cityscapes', 'maps'])
def test_baseline_has_l1_and_the_same_noise(data):
    cfg = read(f'pix2pix_noise_{data}')
    assert cfg.model.mr_loss is None
    assert cfg.model.num_samples == 1
    assert cfg.model.gen_batch_size is None
    assert cfg.model.loss_config.pixel_loss_weight == 100
    assert cfg.model.noise == read(f'pix2pix_mr1_{data}').model.noise


def test_gan_alone_has_no_reconstruction():
    cfg = read('pix2pix_gan_cityscapes')
    assert cfg.model.mr_loss is None
    assert cfg.model.loss_config.pixel_loss_weight == 0


@pytest.fixture(scope='module')
def pairs(tmp_path_factory):
    return tiny.write_pairs(tmp_path_factory.mktemp('pairs'))


@pytest.mark.parametrize('name', NAMES)
def test_builds(name, pairs, tmp_path):
    runner = build(name, pairs, tmp_path)
    rows = {row[0]: row for row in table()}
    if name in rows:
        _, _, distribution, loss, order, weight = rows[name]
        check_built(runner, loss, order, distribution, weight)
    else:
        check_built(runner)
        pixel_loss_weight = {'noise': 100, 'gan': 0, 'recommended': 0}[
            name.split('_')[1]
        ]
        assert runner.model.loss_config['pixel_loss_weight'] == pixel_loss_weight


@pytest.mark.parametrize(
    'name',
    [
        'pix2pix_gan_cityscapes',
        'pix2pix_noise_cityscapes',
        'pix2pix_mr2_maps',
        'pix2pix_proxy_mr2_cityscapes',
        'pix2pix_proxy_mr1_laplace_maps',
        'pix2pix_recommended_maps',
    ],
)
def test_trains(name, pairs, tmp_path):
    from mmengine.runner import Runner

    cfg = tiny.load(name, pairs, tmp_path)
    proxy = 'proxy' in name
    runner = Runner.from_cfg(cfg)
    runner.train()

    assert runner.iter == 2
    logged = {
        key.removeprefix('train/'): buffer.data[0]
        for key, buffer in runner.message_hub.log_scalars.items()
    }
    numbers = [
        v for values in logged.values() for v in values if not isinstance(v, str)
    ]
    assert all(math.isfinite(number) for number in numbers)
    assert ('loss_mr' in logged) == ('mr' in name)
    assert (
        ('loss_crps' in logged) == ('weight_crps' in logged) == ('recommended' in name)
    )
    assert ('loss_pixel' in logged) == ('noise' in name)
    assert ('pred_std' in logged) == proxy
    assert {'loss_gan_g', 'loss_d_real', 'loss_d_fake'} <= logged.keys()
    assert 'val/calibration/spread_skill' in logged

    # both networks were updated in both iterations, by the authors' optimizer
    for part in 'generators', 'discriminators':
        wrapper = runner.optim_wrapper[part]
        check_optimizer(wrapper, getattr(runner.model, part))
        states = wrapper.optimizer.state.values()
        assert {int(state['step']) for state in states} == {2}
        assert all('max_exp_avg_sq' in state for state in states)

    assert (tmp_path / 'predictor' / 'best.pth').is_file() == proxy
    if proxy:
        assert bool(runner.model.predictor.trained)
        assert runner.model.predictor.frozen
    assert (tmp_path / 'iter_2.pth').is_file()
    assert (tmp_path / 'vis' / 'collage_000002.png').is_file()
    assert list(tmp_path.rglob('events.out.tfevents*'))
