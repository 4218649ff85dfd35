"""A new user's path: three commands from a folder of pictures to samples."""

import json

import numpy as np
import pytest
from attacks.training import run_tool
from helpers import tiny
from mmengine.config import Config
from PIL import Image

import mmagic_mr.plugin  # noqa: F401  (before the tools' processes are forked)

# Sizes and formats as people have them: width, height, suffix, mode
KINDS = [
    (80, 64, 'png', 'RGB'),
    (64, 80, 'JPG', 'RGB'),
    (70, 70, 'webp', 'RGB'),
    (96, 64, 'bmp', 'RGB'),
    (64, 64, 'PNG', 'L'),
    (80, 64, 'tif', 'RGBA'),
]


def picture(width, height, seed):
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((width, height))


@pytest.fixture(scope='module')
def stranger(tmp_path_factory):
    """Folders of 22 sketches and photos of the same names, not all in order."""
    root = tmp_path_factory.mktemp('home')
    for kind in 'sketches', 'photos':
        (root / kind / 'old ones').mkdir(parents=True)
        for i in range(20):
            width, height, _, _ = KINDS[i % 6]
            suffix, mode = KINDS[(i + 2 * (kind == 'photos')) % 6][2:]
            name = f'old ones/holiday {i}' if i > 15 else f'holiday {i}'
            image = picture(width, height, i).convert(mode)
            image.save(root / kind / f'{name}.{suffix}')
    deep = np.asarray(picture(64, 64, 50).convert('L')).astype(np.uint16) * 257
    Image.fromarray(deep).save(root / 'sketches/deep.png')
    picture(64, 64, 51).save(root / 'photos/deep.png')
    picture(64, 64, 52).save(root / 'sketches/alone.png')
    picture(64, 64, 53).save(root / 'sketches/broken.png')
    data = (root / 'sketches/broken.png').read_bytes()
    (root / 'photos/broken.png').write_bytes(data[: len(data) // 2])
    (root / 'sketches/notes.txt').write_text('not a picture')
    return root


def call(tool, *args, folder):
    end = run_tool(f'{tool}.py', list(map(str, args)), folder)
    assert end.status == 0, end.output[-3000:]
    return end.output


def fails(*args, folder):
    end = run_tool('train.py', list(map(str, args)), folder)
    assert end.status == 1
    assert 'Traceback' not in end.output
    (line,) = [x for x in end.output.splitlines() if x.startswith('error: ')]
    return line


def train(name, data_root, size, folder):
    """Trains networks of a few channels; returns the run's config and checkpoint."""
    host = name.split('_')[0]
    small = tiny.options('', size, host)
    if 'proxy' in name:
        small |= {'custom_hooks.0.max_iters': 2, 'custom_hooks.0.val_interval': 1}
    if host != 'pix2pix':
        small['size'] = size
    followed = '.data_root', 'num_down', 'local_size', 'eval_num_samples'
    small = {k: v for k, v in small.items() if not k.endswith(followed)}
    small |= {'data_root': data_root, 'num_samples': 4}
    options = [f'{key}={value}' for key, value in small.items()]
    work_dir = folder / 'work'
    call(
        'train', name, '--work-dir', work_dir, '--cfg-options', *options, folder=folder
    )
    return work_dir / f'{name}.py', work_dir / 'iter_2.pth'


def check_samples(folder, names, size, samples=2):
    for name in names:
        pictures = [
            np.asarray(Image.open(folder / name / f'{k:03d}.png')).astype(int)
            for k in range(samples)
        ]
        assert pictures[0].shape == (size[1], size[0], 3)
        assert (pictures[0] != pictures[1]).any()
        assert (folder / f'{name}.png').is_file()


def test_pairs(stranger, tmp_path):
    said = call(
        *('prepare_data', 'pairs', stranger / 'sketches', stranger / 'photos'),
        *(tmp_path / 'pairs', '--size', 32, '--workers', 0),
        folder=tmp_path,
    )
    assert 'taken: 21 pairs of 32x32 (19 train, 2 val)' in said
    assert 'left out: 3' in said
    kept, checkpoint = train(
        'pix2pix_recommended_paired', tmp_path / 'pairs', 32, tmp_path
    )
    norm = json.loads((tmp_path / 'pairs/manifest.json').read_text())['input_norm']
    model = Config.fromfile(kept, import_custom_modules=False).model
    assert model.input_norm == norm

    # The run's own copy needs no folder any more, and takes a picture of any size
    (tmp_path / 'pairs').rename(tmp_path / 'gone')
    sketches = stranger / 'sketches/holiday 3.bmp', stranger / 'sketches/deep.png'
    out = tmp_path / 'out'
    call(
        *('sample', kept, checkpoint, *sketches, '--num-samples', 2, '--out', out),
        folder=tmp_path,
    )
    check_samples(out, ['holiday 3', 'deep'], (32, 32))


def test_super_resolution_of_a_plain_folder(stranger, tmp_path):
    name = 'srgan_proxy_mr2_images'
    kept, checkpoint = train(name, stranger / 'sketches', 32, tmp_path)
    small = tmp_path / 'small.png'
    picture(20, 12, 0).save(small)
    out = tmp_path / 'out'
    call(
        *('sample', kept, checkpoint, small, '--num-samples', 2, '--out', out),
        folder=tmp_path,
    )
    check_samples(out, ['small'], (80, 48))


def test_inpainting_of_checked_pictures(stranger, tmp_path):
    said = call(
        *('prepare_data', 'images', stranger / 'photos', tmp_path / 'ready'),
        *('--size', 64, '--workers', 0),
        folder=tmp_path,
    )
    assert 'taken: 21 pictures of 64 (19 train, 2 val)' in said
    assert 'broken.png is not a readable image' in said
    name = 'glcic_noise_images'
    kept, checkpoint = train(name, tmp_path / 'ready', 64, tmp_path)
    steps = Config.fromfile(kept).train_dataloader.dataset.pipeline
    color = json.loads((tmp_path / 'ready/manifest.json').read_text())['mean_color']
    assert list(steps[4].color) == color
    whole, mask, out = tmp_path / 'whole.jpg', tmp_path / 'mask.png', tmp_path / 'out'
    picture(72, 56, 0).save(whole)
    hole = np.zeros((56, 72), np.uint8)
    hole[8:30, 20:50] = 255
    Image.fromarray(hole).save(mask)
    call(
        *('sample', kept, checkpoint, whole, '--mask', mask),
        *('--num-samples', 2, '--out', out),
        folder=tmp_path,
    )
    check_samples(out, ['whole'], (72, 56))
    sample = np.asarray(Image.open(out / 'whole/000.png'))
    known = np.asarray(Image.open(whole))
    np.testing.assert_array_equal(sample[hole == 0], known[hole == 0])


def test_a_missing_folder_is_one_clear_line(tmp_path):
    advice = 'Make it with: python tools/prepare_data.py pairs A_DIR B_DIR DST'
    name = 'pix2pix_recommended_paired'
    line = fails(name, folder=tmp_path)
    assert line.startswith(
        f'error: data_root is not set: the folder of pictures. {advice}'
    )
    line = fails(name, '--cfg-options', 'data_root=/nowhere', folder=tmp_path)
    assert line.startswith(
        f'error: data_root=/nowhere: there is no such folder. {advice}'
    )
    line = fails(name, '--cfg-options', f'data_root={tmp_path}', folder=tmp_path)
    assert line.startswith(f'error: data_root={tmp_path}: no picture in it. {advice}')
