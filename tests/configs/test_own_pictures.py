"""Configs of one's own pictures: what they take from their folder."""

import argparse

import numpy as np
import pytest
from helpers import tiny
from PIL import Image

from mmagic_mr import cli, training
from mmagic_mr.data.prepare.images import prepare_images
from mmagic_mr.data.prepare.pairs import prepare_pairs
from mmagic_mr.errors import UserError

HOSTS = {'pix2pix': 'paired', 'srgan': 'images', 'glcic': 'images'}
NAMES = [
    f'{host}_{loss}_{data}'
    for host, data in HOSTS.items()
    for loss in ('recommended', 'proxy_mr2', 'noise')
]
LOADERS = 'train_dataloader', 'val_dataloader', 'test_dataloader'


@pytest.fixture(scope='module')
def home(tmp_path_factory):
    """Pictures as they are, and what the tool makes of them."""
    home = tmp_path_factory.mktemp('home')
    rng = np.random.default_rng(0)
    for kind in 'a', 'b':
        (home / kind).mkdir()
        for i in range(4):
            image = rng.integers(0, 200, (70, 90, 3), dtype=np.uint8)
            Image.fromarray(image).save(home / kind / f'{i}.png')
    options = dict(fit='squeeze', labels=True, workers=0)
    prepare_pairs(home / 'a', home / 'b', home / 'paired', 64, **options)
    prepare_images(home / 'a', home / 'images', 64, workers=0)
    return home


def read(name, **options):
    args = argparse.Namespace(config=name, cfg_options=options)
    return cli.read_config(args, tiny.CONFIGS)


def steps(cfg, loader='train_dataloader'):
    return {step.type: step for step in cfg[loader].dataset.pipeline}


def test_these_are_all_there_are():
    found = {
        path.stem
        for data in set(HOSTS.values())
        for path in tiny.CONFIGS.glob(f'*_{data}.py')
    }
    assert found == set(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_the_folder_alone_is_needed(name, home):
    root = str(home / HOSTS[name.split('_')[0]])
    cfg = read(name, data_root=root, num_samples=7)
    assert not {'own_pictures', 'num_samples', 'size'} & set(cfg.keys())
    for loader in LOADERS:
        assert cfg[loader].dataset.data_root == root
    assert cfg.model.eval_num_samples == 7
    assert cfg.model.num_samples == (1 if 'noise' in name else 7)
    assert cfg.model.channels_last
    wrappers = [w for w in cfg.optim_wrapper.values() if isinstance(w, dict)]
    assert len(wrappers) == 2
    if 'proxy' in name:
        assert cfg.custom_hooks[0].type == 'PredictorPretrainHook'
        wrappers.append(cfg.custom_hooks[0].optim_wrapper)
        assert cfg.model.mr_loss.loss_weight == 'auto'
    for wrapper in wrappers:
        assert training.FAST.items() <= wrapper.to_dict().items()
        assert wrapper.optimizer.amsgrad
        assert wrapper.clip_grad.clip_value == 0.5
    assert ('crps' in cfg.model.get('sample_losses', {})) == ('recommended' in name)
    if 'noise' in name:
        assert cfg.model.mr_loss is None


def test_pairs_say_their_size_and_colors(home):
    cfg = read('pix2pix_recommended_paired', data_root=str(home / 'paired'))
    assert cfg.model.generator.num_down == 6
    halves = [
        np.asarray(Image.open(path)).astype(float)[:, :64] / 255
        for path in (home / 'paired/train').glob('*.png')
    ]
    pixels = np.stack(halves).reshape(-1, 3)
    norm = cfg.model.input_norm
    np.testing.assert_allclose(norm.mean, pixels.mean(0), atol=1e-4)
    np.testing.assert_allclose(norm.std, pixels.std(0), atol=1e-4)
    assert 'ToSquare' not in steps(cfg)
    square = steps(cfg, 'test_dataloader')['ToSquare']
    assert (square.size, square.squeeze, square.labels) == (64, True, True)


def test_sizes_reach_what_depends_on_them(home):
    # The pictures as they are, and prepared ones
    cfg = read('srgan_recommended_images', data_root=str(home / 'a'), size=48)
    for loader in LOADERS:
        assert steps(cfg, loader)['StrictCrop'].crop_size == (48, 48)
        assert cfg[loader].dataset.least == 48
    cfg = read('glcic_recommended_images', data_root=str(home / 'images'), size=64)
    for loader in LOADERS:
        found = steps(cfg, loader)
        assert found['Shrink'].short_side == 64
        assert found['StrictCrop'].crop_size == (64, 64)
        assert (found['RandomHole'].box_size, found['RandomHole'].sides) == (
            32,
            (24, 32),
        )
        assert found['FillHole'].color == pytest.approx((99.5,) * 3, abs=2)
    assert cfg.model.train_cfg.local_size == (32, 32)
    # 64x64 halved 6 times, 32x32 halved 5 times
    assert cfg.model.disc.global_disc_cfg.fc_in_channels == 512
    assert cfg.model.disc.local_disc_cfg.fc_in_channels == 512
    assert 'seed' not in steps(cfg)['RandomHole']
    assert steps(cfg, 'val_dataloader')['RandomHole'].seed == 0


def test_any_other_option_goes_first(home):
    options = {'data_root': str(home / 'paired'), 'model.generator.num_down': 5}
    cfg = read('pix2pix_recommended_paired', **options, **{'model.num_samples': 3})
    assert cfg.model.generator.num_down == 5
    assert (cfg.model.num_samples, cfg.model.eval_num_samples) == (3, 6)


def test_a_config_of_ones_own_inherits(home, tmp_path):
    own = tmp_path / 'mine.py'
    base = tiny.CONFIGS / 'pix2pix_recommended_paired.py'
    own.write_text(f'_base_ = {str(base)!r}\ndata_root = {str(home / "paired")!r}\n')
    assert read(str(own)).model.generator.num_down == 6


@pytest.mark.parametrize(
    ('name', 'folder', 'words'),
    [
        ('pix2pix_recommended_paired', 'images', 'made by `prepare_data.py images`'),
        (
            'srgan_recommended_images',
            'paired',
            'takes what `prepare_data.py images` makes',
        ),
        ('pix2pix_recommended_paired', 'a', 'has no manifest.json'),
    ],
)
def test_a_folder_for_something_else_is_refused(name, folder, words, home):
    with pytest.raises(UserError, match=words):
        read(name, data_root=str(home / folder))


@pytest.mark.parametrize(
    ('name', 'size', 'words'),
    [
        ('srgan_recommended_images', 50, 'size=50 is not a multiple of the scale 4'),
        ('glcic_recommended_images', 96, 'size=96 is not a multiple of 64'),
    ],
)
def test_a_size_that_does_not_fit_is_refused(name, size, words, home):
    with pytest.raises(UserError, match=words):
        read(name, data_root=str(home / 'a'), size=size)


def test_a_config_that_was_filled_in_takes_another_folder_and_loses_nothing(
    home, tmp_path
):
    cfg = read('pix2pix_recommended_paired', data_root=str(home / 'paired'))
    kept = tmp_path / 'kept.py'
    cfg.dump(kept)
    assert read(str(kept)).pretty_text == cfg.pretty_text
    moved = read(str(kept), data_root='/elsewhere')
    for loader in LOADERS:
        assert moved[loader].dataset.data_root == '/elsewhere'
    assert moved.model.input_norm == cfg.model.input_norm
    with pytest.raises(UserError, match=r'num_samples: .*does not take it'):
        read(str(kept), num_samples=3)


def test_data_root_is_not_lost_in_other_configs():
    cfg = read('pix2pix_recommended_demo', data_root='/elsewhere')
    for loader in LOADERS:
        assert cfg[loader].dataset.data_root == '/elsewhere'
    with pytest.raises(
        UserError, match=r'no data set of .*glcic_recommended_celeba\.py takes it'
    ):
        read('glcic_recommended_celeba', data_root='/elsewhere')


@pytest.mark.parametrize(
    ('name', 'folder'),
    [('pix2pix_proxy_mr2_paired', 'paired'), ('glcic_recommended_celeba', None)],
)
def test_an_exported_config_is_the_same(name, folder, home, tmp_path):
    from mmagic_mr import exporting

    args = argparse.Namespace(config=name, cfg_options={'train_cfg.max_iters': 7})
    out = tmp_path / 'deep/mine.py'
    exporting.export(cli.load_config(args, tiny.CONFIGS), out)
    assert '_base_' not in out.read_text()
    options = dict(data_root=str(home / folder)) if folder else {}
    exported = read(str(out), **options)
    args.cfg_options |= options
    assert exported.pretty_text == cli.read_config(args, tiny.CONFIGS).pretty_text
    assert exported.train_cfg.max_iters == 7
    with pytest.raises(UserError, match='is there already: delete it'):
        exporting.export(exported, out)
    with pytest.raises(UserError, match=r'does not end with \.py'):
        exporting.export(exported, tmp_path / 'mine.txt')


def intervals(cfg):
    (collage,) = [hook for hook in cfg.custom_hooks if hook.type == 'CollageHook']
    checkpoint = cfg.default_hooks.checkpoint
    return cfg.train_cfg.val_interval, checkpoint.interval, collage.interval


@pytest.mark.parametrize('name', [NAMES[0], NAMES[1], NAMES[6]])
def test_a_short_run_shows_and_saves_ten_times(name, home):
    root = str(home / HOSTS[name.split('_')[0]])
    assert intervals(read(name, data_root=root)) == (1000,) * 3
    short = {'data_root': root, 'train_cfg.max_iters': 2000}
    assert intervals(read(name, **short)) == (200,) * 3
    chosen = {**short, 'default_hooks.checkpoint.interval': 1000}
    assert intervals(read(name, **chosen)) == (200, 1000, 200)
    assert intervals(read(name, **{**short, 'train_cfg.max_iters': 4})) == (1,) * 3


@pytest.mark.parametrize(
    'options',
    [
        {'num_samples': 'four'},
        {'num_samples': 0},
        {'model.num_samples': 2.5},
        {'train_cfg.max_iters': 'many'},
    ],
)
def test_a_number_that_is_none_is_refused(options, home):
    (key, value), root = *options.items(), str(home / 'paired')
    words = f'{key}={value!r} is not a whole number of at least 1'
    with pytest.raises(UserError, match=words):
        read('pix2pix_recommended_paired', data_root=root, **options)


def test_a_folder_that_is_missing_is_looked_for_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f'data_root=a: there is no .* in {tmp_path}'):
        read('pix2pix_recommended_paired', data_root='a')
