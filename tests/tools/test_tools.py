"""The command-line tools, called as a user calls them, on a tiny Cityscapes."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from attacks.training import run_tool
from helpers import ROOT, tiny
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from mmagic_mr import cli
from mmagic_mr.hooks.board import LAYOUT

CONFIG = 'configs/pix2pix_proxy_mr2_cityscapes.py'


def call(tool, *args, launch=()):
    """Runs a tool; returns its output, stdout and stderr together."""
    done = subprocess.run(
        [sys.executable, *launch, f'tools/{tool}.py', *map(str, args)],
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def call_forked(tool, *args, folder):
    """The same in a fork of this process, which has imported what takes seconds."""
    end = run_tool(f'{tool}.py', args, folder)
    assert end.status == 0, end.output[-3000:]
    return end.output


def load(tool):
    """A tool as a module."""
    spec = importlib.util.spec_from_file_location(tool, ROOT / f'tools/{tool}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call_here(monkeypatch, tool, *args):
    """Runs a tool in this process, which has MMagic imported already."""
    module = load(tool)
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
    with cli.short_errors():
        module.main()


def fails(monkeypatch, tool, *args):
    """The message that a tool ends with."""
    with pytest.raises(SystemExit) as stopped:
        call_here(monkeypatch, tool, *args)
    assert str(stopped.value).startswith('error: ')
    return str(stopped.value)


def sizes(data_root):
    """--cfg-options for sizes and iterations, and nothing else."""
    small = tiny.options(data_root) | {
        'model.num_samples': 3,
        'model.gen_batch_size': 2,
        'custom_hooks.0.max_iters': 2,
        'custom_hooks.0.val_interval': 1,
        'custom_hooks.1.interval': 2,
    }
    return ['--cfg-options', *(f'{key}={value}' for key, value in small.items())]


@pytest.fixture(scope='module')
def cityscapes(tmp_path_factory):
    """PNG files in the official folders, through tools/prepare_data.py."""
    raw = tmp_path_factory.mktemp('raw')
    rng = np.random.default_rng(0)
    for split, count in ('train', 4), ('val', 3):
        for i in range(count):
            stem = f'ulm_{i:06d}_000019'
            label = (
                rng.integers(0, 256, (4, 8, 3), np.uint8).repeat(16, 0).repeat(16, 1)
            )
            photo = np.clip(label + rng.normal(0, 30, label.shape), 0, 255)
            for kind, name, image in [
                ('leftImg8bit', 'leftImg8bit', photo),
                ('gtFine', 'gtFine_color', label),
            ]:
                folder = raw / kind / split / 'ulm'
                folder.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / f'{stem}_{name}.png'), image.astype(np.uint8))
    data = tmp_path_factory.mktemp('data') / 'cityscapes'
    call('prepare_data', 'cityscapes', raw, data, '--size', 32, '--workers', 0)
    return data


@pytest.fixture(scope='module')
def trained(cityscapes, tmp_path_factory):
    """Work dir of a short training, and what the tool printed."""
    work_dir = tmp_path_factory.mktemp('work')
    return work_dir, call('train', CONFIG, '--work-dir', work_dir, *sizes(cityscapes))


def test_train_runs_from_pretraining_to_pictures(trained):
    work_dir, log = trained
    assert 'predictor [2/2] best NLL' in log
    assert 'Iter(train) [2/2]' in log
    assert 'Iter(val)' in log
    files = {
        'predictor/best.pth',
        'predictor/last.pth',
        'iter_2.pth',
        'vis/collage_000002.png',
    }
    assert all((work_dir / name).is_file() for name in files)
    assert len(list(work_dir.rglob('events.out.tfevents*'))) == 1
    scalars = [
        json.loads(line)
        for path in work_dir.rglob('scalars.json')
        for line in path.read_text().splitlines()
    ]
    keys = {key for line in scalars for key in line}
    assert {'predictor/val_nll', 'loss_mr', 'sample_std', 'pred_std'} <= keys


def test_tensorboard_has_a_layout_of_curves_that_are_there(trained):
    (file,) = trained[0].rglob('events.out.tfevents*')
    events = EventAccumulator(str(file))
    events.Reload()
    assert 'collage' in events.Tags()['images']
    (written,) = events.Tensors('custom_scalars__config__')
    layout = Layout.FromString(written.tensor_proto.string_val[0])
    charts = [chart for category in layout.category for chart in category.chart]
    assert len(charts) == sum(map(len, LAYOUT.values()))
    known = events.Tags()['scalars']
    for chart in charts:
        bands = chart.margin.series
        names = [name for b in bands for name in (b.value, b.lower, b.upper)]
        for pattern in [*chart.multiline.tag, *names]:
            assert any(re.fullmatch(pattern, name) for name in known), pattern


def test_resume_goes_on_and_does_not_pretrain_again(trained, cityscapes):
    work_dir, _ = trained
    log = call_forked(
        'train',
        'pix2pix_proxy_mr2_cityscapes',
        '--resume',
        *('--work-dir', work_dir),
        *sizes(cityscapes),
        'train_cfg.max_iters=3',
        folder=work_dir,
    )
    assert 'trained already, by the loaded checkpoint' in log
    assert 'Iter(train) [3/3]' in log
    assert 'Iter(train) [2/3]' not in log


def test_predictor_only(cityscapes, tmp_path):
    call_forked(
        'train',
        ROOT / CONFIG,
        '--predictor-only',
        *('--work-dir', tmp_path),
        *sizes(cityscapes),
        folder=tmp_path,
    )
    assert (tmp_path / 'predictor' / 'best.pth').is_file()
    assert not list(tmp_path.glob('iter_*.pth'))


@pytest.mark.slow
def test_two_processes(cityscapes, tmp_path):
    torchrun = '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2'
    options = [*sizes(cityscapes), 'train_dataloader.batch_size=2']
    log = call(
        'train',
        CONFIG,
        *('--launcher', 'pytorch', '--work-dir', tmp_path),
        *options,
        launch=torchrun,
    )
    assert 'update: 2 x 2 inputs' in log
    assert log.count('Iter(train) [2/2]') == 1  # rank 0 alone writes the log
    assert (tmp_path / 'predictor' / 'best.pth').is_file()
    assert (tmp_path / 'iter_2.pth').is_file()


def test_test(trained, cityscapes, tmp_path):
    checkpoint = trained[0] / 'iter_2.pth'
    out = tmp_path / 'run.json'
    call_forked(
        'test',
        ROOT / CONFIG,
        checkpoint,
        *('--stand-in', '--out', out, '--work-dir', tmp_path),
        *sizes(cityscapes),
        folder=tmp_path,
    )
    groups = {record['group'] for record in json.loads(out.read_text())['records']}
    assert groups >= {'diversity', 'calibration', 'fidelity', 'reconstruction'}


@pytest.mark.parametrize('kept', ['resume=True', 'load_from=/gone.pth'])
def test_test_measures_the_checkpoint_that_it_is_given(
    kept, trained, cityscapes, tmp_path
):
    """With the config that a resumed or a fine-tuned run leaves in its folder."""
    checkpoint = shutil.copy(trained[0] / 'iter_2.pth', tmp_path / 'first.pth')
    shutil.copy(checkpoint, tmp_path / 'iter_9.pth')
    (tmp_path / 'last_checkpoint').write_text('iter_9.pth')
    log = call_forked(
        'test',
        ROOT / CONFIG,
        checkpoint,
        *('--stand-in', '--out', tmp_path / 'run.json', '--work-dir', tmp_path),
        *sizes(cityscapes),
        kept,
        folder=tmp_path,
    )
    assert 'iter_9.pth' not in log
    assert 'resumed' not in log


def pictures(folder):
    return {
        path.relative_to(folder).as_posix(): cv2.imread(str(path))
        for path in sorted(folder.rglob('*.png'))
    }


def test_sample_repeats_and_is_independent_of_the_other_images(
    monkeypatch, trained, cityscapes, tmp_path
):
    checkpoint = trained[0] / 'iter_2.pth'
    pairs = sorted((cityscapes / 'val').glob('*.png'))
    common = [*sizes(cityscapes), '--num-samples', '3', '--seed', '5']
    for name, images in ('all', cityscapes / 'val'), ('one', pairs[1]):
        args = CONFIG, checkpoint, images, '--pair', '--out', tmp_path / name, *common
        if name == 'all':
            call_forked('sample', ROOT / CONFIG, *args[1:], folder=tmp_path)
        else:
            call_here(monkeypatch, 'sample', *args)
    drawn = {name: pictures(tmp_path / name) for name in ('all', 'one')}
    stem = pairs[1].stem
    assert set(drawn['one']) == {f'{stem}.png'} | {
        f'{stem}/00{k}.png' for k in range(3)
    }
    assert len(drawn['all']) == 3 * 4
    for name, picture in drawn['one'].items():
        assert np.array_equal(picture, drawn['all'][name])
    first, second = (drawn['one'][f'{stem}/00{k}.png'] for k in range(2))
    assert first.shape == (32, 32, 3)
    assert not np.array_equal(first, second)


@pytest.fixture(scope='module')
def model(trained, cityscapes):
    from mmengine.config import Config

    from mmagic_mr.inference import load_model

    cfg = Config.fromfile(ROOT / CONFIG)
    cfg.merge_from_dict(tiny.options(cityscapes))
    return load_model(cfg, str(trained[0] / 'iter_2.pth'))


def test_a_label_alone_gives_the_samples_of_its_pair(model, cityscapes, tmp_path):
    from helpers.inference import sample_image

    path = next((cityscapes / 'val').glob('*.png'))
    cv2.imwrite(str(tmp_path / 'label.png'), cv2.imread(str(path))[:, 32:])
    pair = sample_image(model, path, 2, seed=1, pair=True)
    label = sample_image(model, tmp_path / 'label.png', 2, seed=1)
    other = sample_image(model, tmp_path / 'label.png', 2, seed=2)
    assert torch.equal(pair.samples, label.samples)
    assert not torch.equal(label.samples, other.samples)
    assert torch.equal(pair.img_label, label.img_label)
    assert 'img_photo' in pair
    assert 'img_photo' not in label


def test_preprocessing_is_that_of_validation(model, cityscapes):
    from helpers.inference import sample_image
    from mmagic.registry import DATASETS
    from mmengine.dataset import pseudo_collate

    dataset = DATASETS.build(model.cfg.test_dataloader.dataset)
    (expected,) = model.val_step(pseudo_collate([dataset[0]]), 2, 3)
    drawn = sample_image(model, dataset.get_data_info(0)['pair_path'], 2, 3, pair=True)
    for key in 'samples', 'sample_var', 'pred_mean', 'img_label', 'img_photo':
        assert torch.equal(drawn.get(key), expected.get(key))


def test_rgb_pictures():
    from mmagic_mr.reports.samples import to_rgb

    blue, green, red = 1.4, 254.6, 300.0
    image = torch.tensor([blue, green, red]).view(3, 1, 1)
    assert to_rgb(image).tolist() == [[[255, 255, 1]]]


def test_sample_image_names_what_is_wrong(model, tmp_path):
    from helpers.inference import sample_image

    broken, small, odd = (tmp_path / f'{n}.png' for n in ('broken', 'small', 'odd'))
    broken.write_bytes(b'\x89PNG no')
    cv2.imwrite(str(small), np.zeros((20, 32, 3), np.uint8))
    cv2.imwrite(str(odd), np.zeros((32, 63, 3), np.uint8))
    for path, pair, words in [
        (broken, False, 'broken.png is not a readable image'),
        (small, False, r'small.png is 32x20, .* multiples of 32'),
        (odd, True, 'odd.png is 63 pixels wide'),
    ]:
        with pytest.raises(ValueError, match=words):
            sample_image(model, path, 1, 0, pair)


def test_checkpoint_of_another_architecture(model, tmp_path):
    from mmagic_mr.inference import load_weights

    state = dict(model.state_dict())
    names = list(state)
    shape = tuple(state[names[0]].shape)
    state['extra'] = state.pop(names[1])
    state[names[0]] = torch.zeros(1)
    torch.save({'state_dict': state}, tmp_path / 'other.pth')
    (tmp_path / 'text.pth').write_text('hello')
    with pytest.raises(ValueError, match='another architecture') as error:
        load_weights(model, tmp_path / 'other.pth')
    message = str(error.value)
    assert f'1 missing ({names[1]})' in message
    assert '1 unexpected (extra)' in message
    assert f'1 of another shape ({names[0]} (1,) instead of {shape})' in message
    with pytest.raises(ValueError, match=r'text\.pth is not a readable') as error:
        load_weights(model, tmp_path / 'text.pth')
    assert 'weights_only' not in str(error.value)  # nobody is told to load it unsafely


@pytest.mark.parametrize('tool', ['train', 'test', 'sample', 'demo', 'app'])
def test_help_imports_nothing_heavy(tool):
    code = (
        'import atexit, runpy, sys\n'
        'atexit.register(lambda: print(sorted(\n'
        "    {'torch', 'mmagic', 'mmcv', 'cv2'} & sys.modules.keys())))\n"
        f"sys.argv = ['{tool}', '--help']\n"
        f"runpy.run_path('tools/{tool}.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert 'usage:' in done.stdout
    assert done.stdout.splitlines()[-1] == '[]'


def test_wrong_arguments_are_one_line(monkeypatch, tmp_path):
    known = (monkeypatch, 'train', CONFIG)
    assert 'did you mean pix2pix_mr1_maps' in fails(
        monkeypatch, 'train', 'pix2pix_mr1_map'
    )
    assert 'no checkpoint a.pth' in fails(*known, '--resume', 'a.pth')
    assert 'has no PredictorPretrainHook' in fails(
        monkeypatch, 'train', 'pix2pix_mr1_maps', '--predictor-only'
    )
    if not torch.cuda.is_available():
        assert 'float16 needs a GPU' in fails(*known, '--amp', 'fp16')
    assert 'no checkpoint a.pth' in fails(monkeypatch, 'test', CONFIG, 'a.pth')
    assert 'no checkpoint a.pth' in fails(
        monkeypatch, 'sample', CONFIG, 'a.pth', 'b.png'
    )
    (tmp_path / 'a.pth').touch()
    sample = monkeypatch, 'sample', CONFIG, tmp_path / 'a.pth'
    assert 'no image or folder b.png' in fails(*sample, 'b.png')
    assert 'no image in the folder' in fails(*sample, tmp_path)
    assert 'at least 1, got 0' in fails(*sample, 'b.png', '--num-samples', '0')


def test_missing_data_names_folder_and_command(monkeypatch, tmp_path):
    options = sizes(tmp_path / 'nothing')
    message = fails(monkeypatch, 'train', CONFIG, '--work-dir', tmp_path, *options)
    assert f'{tmp_path}/nothing/train is missing' in message
    assert 'python tools/prepare_data.py cityscapes SRC data/cityscapes' in message


@pytest.mark.parametrize('workers', [0, 1])
def test_a_broken_image_is_named(monkeypatch, cityscapes, tmp_path, workers):
    data = shutil.copytree(cityscapes, tmp_path / 'data')
    for path in (data / 'train').glob('*.png'):
        path.write_bytes(path.read_bytes()[:20])
    options = [*sizes(data), f'train_dataloader.num_workers={workers}']
    message = fails(monkeypatch, 'train', CONFIG, '--work-dir', tmp_path, *options)
    assert '\n' not in message
    assert f'{data}/train/' in message
    assert 'is not a readable image' in message


def test_images_of_one_name_get_the_folders_too():
    from mmagic_mr.inference import output_names

    paths = [Path('a/x.png'), Path('b/x.png'), Path('a/y.png')]
    assert output_names(paths) == ['a_x', 'b_x', 'y']
    with pytest.raises(ValueError, match='2 of the images would be written as a_x'):
        output_names([Path('a/x.png'), Path('a/x.jpg')])
