"""The data tool on tiny images in each dataset's official layout."""

import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import ROOT
from PIL import Image

from mmagic_mr import cli
from mmagic_mr.data import prepare
from mmagic_mr.data.holes import draw_hole, fixed_hole, hole_mask
from mmagic_mr.data.pictures import save_png

TOOL = ROOT / 'tools' / 'prepare_data.py'
ENV = {**os.environ, 'PYTHONPATH': str(ROOT)}


def _load_tool():
    spec = importlib.util.spec_from_file_location('prepare_data', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = _load_tool()


def run(*args, workers=0):
    with cli.short_errors():
        tool.main([*map(str, args), '--workers', str(workers)])


def fails(*args):
    """The one line that the tool ends with."""
    with pytest.raises(SystemExit) as caught:
        run(*args)
    message = str(caught.value)
    assert message.startswith('error: ')
    assert '\n' not in message
    return message


def picture(width, height, seed, colors=256):
    """Smooth random picture, or blocks of few colors as a label map has."""
    rng = np.random.default_rng(seed)
    if colors < 256:
        palette = rng.integers(0, 256, (colors, 3), dtype=np.uint8)
        return palette[rng.integers(0, colors, (height, width))]
    small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR)
    noise = rng.integers(-20, 21, (height, width, 3))
    return np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)


def save(array, path, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **kwargs)
    return path


def load(path):
    return np.asarray(Image.open(path))


def reduced(array, height, width):
    """Antialiased bicubic by torch: an implementation other than Pillow's."""
    x = torch.from_numpy(array.copy()).permute(2, 0, 1)[None].double()
    x = F.interpolate(x, (height, width), mode='bicubic', antialias=True)
    return x[0].permute(1, 2, 0).round().clamp(0, 255).numpy()


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file())


def half_written(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


# --- Cityscapes


@pytest.fixture
def cityscapes(tmp_path):
    src = tmp_path / 'src'
    seed = 0
    for split, cities in (('train', ('aachen', 'bochum')), ('val', ('ulm',))):
        for city in cities:
            for number in range(2):
                name = f'{city}_{number:06d}_000019'
                folder = Path(split) / city
                photo = src / 'leftImg8bit' / folder / f'{name}_leftImg8bit.png'
                save(picture(64, 32, seed), photo)
                label = picture(64, 32, seed + 1, colors=5)
                # The official label pictures have an alpha channel
                label = np.dstack([label, np.full((32, 64), 255, np.uint8)])
                start = src / 'gtFine' / folder / name
                save(label, Path(f'{start}_gtFine_color.png'))
                save(label[..., 0], Path(f'{start}_gtFine_labelIds.png'))
                seed += 2
    return src


def test_cityscapes_pairs(cityscapes, tmp_path):
    dst = tmp_path / 'dst'
    run('cityscapes', cityscapes, dst, '--size', 16)
    assert files(dst) == [
        'manifest.json',
        'train/aachen_000000_000019.png',
        'train/aachen_000001_000019.png',
        'train/bochum_000000_000019.png',
        'train/bochum_000001_000019.png',
        'val/ulm_000000_000019.png',
        'val/ulm_000001_000019.png',
    ]
    pair = load(dst / 'train/bochum_000001_000019.png')
    assert pair.shape == (16, 32, 3)
    assert pair.dtype == np.uint8
    name = 'train/bochum/bochum_000001_000019'
    photo = load(cityscapes / f'leftImg8bit/{name}_leftImg8bit.png')
    label = load(cityscapes / f'gtFine/{name}_gtFine_color.png')[..., :3]
    np.testing.assert_allclose(pair[:, :16], reduced(photo, 16, 16), atol=1)
    np.testing.assert_array_equal(pair[:, 16:], label[1::2, 2::4])

    manifest = json.loads((dst / 'manifest.json').read_text())
    assert manifest['counts'] == {'train': 4, 'val': 2}
    assert manifest['image_size'] == [32, 16]
    assert manifest['settings'] == {'size': 16}
    assert manifest['source'] == str(cityscapes)
    assert manifest['tool'].startswith('mmagic_mr ')


def test_default_size_is_the_papers():
    options = [tool.parse_args([name, 'a', 'b']) for name in ('cityscapes', 'maps')]
    assert [o.size for o in options] == [256, 512]
    sr = tool.parse_args(['celeba-sr', 'a', 'b'])
    assert (sr.crop, sr.size, sr.scale) == (178, 64, 4)
    inpaint = tool.parse_args(['celeba-inpaint', 'a', 'b'])
    assert (inpaint.crop, inpaint.size, inpaint.box) == (178, 128, 64)
    assert tuple(inpaint.hole) == (48, 64)


def test_processes_and_limit(cityscapes, tmp_path):
    run('cityscapes', cityscapes, tmp_path / 'one', '--size', 16)
    run('cityscapes', cityscapes, tmp_path / 'two', '--size', 16, workers=2)
    for name in files(tmp_path / 'one'):
        one, two = (tmp_path / folder / name for folder in ('one', 'two'))
        assert one.read_bytes() == two.read_bytes()
    run('cityscapes', cityscapes, tmp_path / 'few', '--size', 16, '--limit', 1)
    assert files(tmp_path / 'few') == [
        'manifest.json',
        'train/aachen_000000_000019.png',
        'val/ulm_000000_000019.png',
    ]


def test_label_without_photo_and_photo_without_label(cityscapes, tmp_path):
    photos = sorted((cityscapes / 'leftImg8bit/train').rglob('*.png'))
    photos[0].unlink()
    message = fails('cityscapes', cityscapes, tmp_path / 'dst', '--size', 16)
    assert 'train label without train photo: aachen_000000_000019 (1 in all)' in message
    assert not (tmp_path / 'dst').exists()

    for label in (cityscapes / 'gtFine/val').rglob('*_gtFine_color.png'):
        label.rename(label.with_name(label.name.replace('ulm', 'jena')))
    save(picture(64, 32, 0), photos[0])
    message = fails('cityscapes', cityscapes, tmp_path / 'dst', '--size', 16)
    assert 'val photo without val label: ulm_000000_000019, ulm_000001' in message
    assert 'val label without val photo: jena_' in message


def test_broken_images_are_named(cityscapes, tmp_path, capfd):
    photo = next((cityscapes / 'leftImg8bit/val').rglob('*.png'))
    good = photo.read_bytes()
    for data in (b'', b'no image', good[:50], good[: len(good) // 2]):
        photo.write_bytes(data)
        message = fails('cityscapes', cityscapes, tmp_path / 'dst', '--size', 16)
        assert f'{photo} is not a readable image' in message
    with pytest.raises(SystemExit, match='is not a readable image'):
        run('cityscapes', cityscapes, tmp_path / 'dst', '--size', 16, workers=2)
    assert 'Traceback' not in capfd.readouterr().err
    assert not (tmp_path / 'dst/manifest.json').exists()
    photo.write_bytes(good)
    run('cityscapes', cityscapes, tmp_path / 'dst', '--size', 16)
    assert (tmp_path / 'dst/manifest.json').exists()


def test_sizes_that_do_not_fit(cityscapes, tmp_path):
    message = fails('cityscapes', cityscapes, tmp_path / 'dst', '--size', 40)
    assert 'is 64x32, smaller than the size 40' in message
    shutil.rmtree(tmp_path / 'dst')
    label = next((cityscapes / 'gtFine/val').rglob('*_color.png'))
    save(picture(32, 32, 0), label)
    message = fails('cityscapes', cityscapes, tmp_path / 'dst', '--size', 16)
    assert 'is 64x32, its label' in message
    assert f'{label} is 32x32' in message


def test_missing_and_empty_folders(cityscapes, tmp_path):
    message = fails('cityscapes', tmp_path / 'nowhere', tmp_path / 'dst')
    assert f'folder {tmp_path / "nowhere/leftImg8bit/train"} is missing' in message
    shutil.rmtree(cityscapes / 'gtFine/train/aachen')
    shutil.rmtree(cityscapes / 'gtFine/train/bochum')
    message = fails('cityscapes', cityscapes, tmp_path / 'dst')
    assert 'gtFine/train holds no image' in message


# --- restart


def test_restart_keeps_finished_images_and_redoes_the_others(cityscapes, tmp_path):
    dst = tmp_path / 'dst'
    run('cityscapes', cityscapes, dst, '--size', 16, '--limit', 1)
    kept = dst / 'train/aachen_000000_000019.png'
    mark = kept.stat().st_mtime_ns
    # What a run killed while writing leaves
    part = dst / 'train/.aachen_000001_000019-x_3kq90p.png'
    part.write_bytes(b'half')
    run('cityscapes', cityscapes, dst, '--size', 16)
    assert kept.stat().st_mtime_ns == mark
    assert not part.exists()
    assert load(dst / 'train/aachen_000001_000019.png').shape == (16, 32, 3)
    assert json.loads((dst / 'manifest.json').read_text())['counts']['train'] == 4


def test_other_settings_and_strange_files_are_refused(cityscapes, tmp_path):
    dst = tmp_path / 'dst'
    run('cityscapes', cityscapes, dst, '--size', 16)
    message = fails('cityscapes', cityscapes, dst, '--size', 8)
    assert 'size=16' in message
    assert 'size=8' in message
    message = fails('cityscapes', cityscapes, dst, '--size', 16, '--limit', 1)
    assert 'train/aachen_000001_000019.png' in message
    assert '(4 in all)' in message
    # Also of a run that did not come to its end
    (dst / 'manifest.json').rename(dst / 'manifest.partial.json')
    assert 'size=16' in fails('cityscapes', cityscapes, dst, '--size', 8)
    (dst / 'manifest.partial.json').write_text('{')
    assert 'is not a manifest' in fails('cityscapes', cityscapes, dst, '--size', 16)


def test_failed_write_leaves_no_file(tmp_path):
    class FullDisk:
        def save(self, path, format):
            Path(path).write_bytes(b'half')
            raise OSError('disk full')

    with pytest.raises(OSError, match='disk full'):
        save_png(FullDisk(), tmp_path / 'a/b.png')
    assert files(tmp_path) == []


def test_killed_run_goes_on(cityscapes, tmp_path):
    """SIGKILL in the middle: no half file, no orphan, and the same end."""
    photo = save(picture(512, 256, 0), tmp_path / 'photo.png')
    label = save(picture(512, 256, 1, colors=9), tmp_path / 'label.png')
    src, dst, whole = tmp_path / 'big', tmp_path / 'dst', tmp_path / 'whole'
    for split in ('train', 'val'):
        for kind in ('leftImg8bit', 'gtFine'):
            (src / kind / split / 'city').mkdir(parents=True)
        for n in range(30 if split == 'train' else 1):
            folder = f'{split}/city/city_{n:02d}'
            os.link(photo, f'{src}/leftImg8bit/{folder}_leftImg8bit.png')
            os.link(label, f'{src}/gtFine/{folder}_gtFine_color.png')
    command = [sys.executable, str(TOOL), 'cityscapes', str(src), '--size', '128']
    process = subprocess.Popen(
        [*command, str(dst), '--workers', '2'],
        env=ENV,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    _wait(lambda: len(list(dst.glob('train/[!.]*.png'))) >= 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _wait(lambda: not _group_exists(process.pid))

    done = {path: path.stat().st_mtime_ns for path in dst.glob('train/[!.]*.png')}
    assert 3 <= len(done) < 30
    assert not (dst / 'manifest.json').exists()
    for path in done:
        assert load(path).shape == (128, 256, 3)
    run('cityscapes', src, dst, '--size', 128)
    run('cityscapes', src, whole, '--size', 128)
    assert files(dst) == files(whole)
    for name in files(whole):
        assert (dst / name).read_bytes() == (whole / name).read_bytes()
    for path, mark in done.items():
        assert path.stat().st_mtime_ns == mark


def _wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def _group_exists(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


# --- Maps


@pytest.fixture
def maps(tmp_path):
    folder = tmp_path / 'maps'
    for split in ('train', 'val'):
        for n in (1, 2):
            pair = np.hstack([picture(60, 60, n), picture(60, 60, n + 9)])
            save(pair, folder / split / f'{n}.jpg', quality=95)
    return folder


def test_maps_from_folder_and_archive(maps, tmp_path):
    run('maps', maps, tmp_path / 'one', '--size', 48)
    archive = tmp_path / 'maps.tar.gz'
    with tarfile.open(archive, 'w:gz') as tar:
        tar.add(maps, 'maps')
        tar.add(TOOL, 'maps/train/../../../evil.jpg')
    run('maps', archive, tmp_path / 'two', '--size', 48, workers=2)
    assert files(tmp_path / 'two') == [
        'manifest.json',
        *(f'{split}/{n}.png' for split in ('train', 'val') for n in (1, 2)),
    ]
    assert not list(tmp_path.rglob('evil*'))
    for name in files(tmp_path / 'one'):
        if name.endswith('.png'):
            one, two = (tmp_path / folder / name for folder in ('one', 'two'))
            assert one.read_bytes() == two.read_bytes()
    pair, source = load(tmp_path / 'one/val/2.png'), load(maps / 'val/2.jpg')
    assert pair.shape == (48, 96, 3)
    np.testing.assert_allclose(pair[:, :48], reduced(source[:, :60], 48, 48), atol=1)
    np.testing.assert_allclose(pair[:, 48:], reduced(source[:, 60:], 48, 48), atol=1)


def test_maps_bad_sources(maps, tmp_path):
    dst = tmp_path / 'dst'
    archive = tmp_path / 'maps.tar.gz'
    with tarfile.open(archive, 'w:gz') as tar:
        tar.add(maps, 'maps')
    half_written(archive)
    assert 'is not a complete archive' in fails('maps', archive, dst, '--size', 48)
    archive.write_bytes(b'no archive')
    assert 'is not a complete archive' in fails('maps', archive, dst, '--size', 48)
    message = fails('maps', maps, tmp_path / 'a', '--size', 64)
    assert 'smaller than the size 64' in message
    save(picture(61, 60, 0), maps / 'train/3.jpg')
    message = fails('maps', maps, tmp_path / 'b', '--size', 48)
    assert '3.jpg is 61x60, not two squares' in message


# --- CelebA


@pytest.fixture
def celeba(tmp_path):
    src = tmp_path / 'celeba'
    lines = []
    for n in range(1, 9):
        image = src / f'img_align_celeba/{n:06d}.jpg'
        save(picture(178, 218, n), image, quality=95)
        lines.append(f'{n:06d}.jpg {0 if n < 5 else 1 if n < 7 else 2}\n')
    (src / 'list_eval_partition.txt').write_text(''.join(lines))
    return src


def test_celeba_sr(celeba, tmp_path):
    dst = tmp_path / 'dst'
    run('celeba-sr', celeba, dst, workers=2)
    split = ['train'] * 4 + ['val'] * 2 + ['test'] * 2
    names = [
        f'{s}/{folder}/{n:06d}.png'
        for n, s in enumerate(split, 1)
        for folder in ('gt', 'lq')
    ]
    assert files(dst) == sorted([*names, 'manifest.json'])
    # An image counts as finished with both of its files only
    (dst / 'val/lq/000005.png').unlink()
    run('celeba-sr', celeba, dst)
    source = load(celeba / 'img_align_celeba/000005.jpg')[20:198]
    gt, lq = load(dst / 'val/gt/000005.png'), load(dst / 'val/lq/000005.png')
    assert gt.shape == (64, 64, 3)
    assert lq.shape == (16, 16, 3)
    np.testing.assert_allclose(gt, reduced(source, 64, 64), atol=1)
    np.testing.assert_allclose(lq, reduced(gt, 16, 16), atol=1)
    manifest = json.loads((dst / 'manifest.json').read_text())
    assert manifest['counts'] == {'train': 4, 'val': 2, 'test': 2}
    assert manifest['gt_size'] == [64, 64]
    assert manifest['lq_size'] == [16, 16]
    assert 'multiple of the scale 3' in fails('celeba-sr', celeba, dst, '--scale', 3)


def test_celeba_inpaint(celeba, tmp_path, capsys):
    dst = tmp_path / 'dst'
    run('celeba-inpaint', celeba, dst, '--seed', 3)
    assert sorted(p.name for p in (dst / 'train').iterdir()) == ['gt']
    source = load(celeba / 'img_align_celeba/000002.jpg')[20:198]
    gt = load(dst / 'train/gt/000002.png')
    np.testing.assert_allclose(gt, reduced(source, 128, 128), atol=1)
    for split, numbers in (('val', (5, 6)), ('test', (7, 8))):
        boxes = json.loads((dst / split / 'boxes.json').read_text())
        assert sorted(boxes) == [f'{n:06d}' for n in numbers]
        for name, (top, left, height, width) in boxes.items():
            assert (height, width) == (64, 64)
            mask = load(dst / split / 'masks' / f'{name}.png')
            assert mask.shape == (128, 128)
            rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
            hole = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert (hole == 255).all()
            assert (mask > 0).sum() == hole.size
            assert 48 <= min(hole.shape) <= max(hole.shape) <= 64
            assert top <= rows[0] <= rows[-1] < top + 64
            assert left <= columns[0] <= columns[-1] < left + 64
    train = [load(path) for path in (dst / 'train/gt').iterdir()]
    mean = np.mean(train, axis=(0, 1, 2))
    manifest = json.loads((dst / 'manifest.json').read_text())
    np.testing.assert_allclose(manifest['mean_color'], mean, atol=0.006)
    assert manifest['settings']['seed'] == 3
    assert str(tuple(manifest['mean_color'])) in capsys.readouterr().out


def test_fixed_hole_is_the_same_on_every_machine():
    box, hole = fixed_hole('000005', 0, 128, 64, (48, 64))
    assert box == (20, 37, 64, 64)
    assert hole == (21, 43, 63, 56)


def test_fixed_holes_depend_on_name_and_seed_only(celeba, tmp_path):
    masks = {}
    for folder, *more in (('all',), ('few', '--limit', 1), ('seed', '--seed', 1)):
        dst = tmp_path / folder
        run('celeba-inpaint', celeba, dst, *more)
        masks[folder] = (dst / 'val/masks/000005.png').read_bytes()
    assert masks['all'] == masks['few'] != masks['seed']
    message = fails('celeba-inpaint', celeba, tmp_path / 'all', '--seed', 1)
    assert 'seed=0' in message


def test_partition_that_does_not_match(celeba, tmp_path):
    partition = celeba / 'list_eval_partition.txt'
    lines = partition.read_text().splitlines(keepends=True)

    def error(*changed):
        partition.write_text(''.join(changed))
        return fails('celeba-sr', celeba, tmp_path / 'dst')

    message = error(*lines[2:])
    assert 'without line of list_eval_partition.txt: 000001.jpg, 000002.jpg' in message
    assert 'partition.txt without image: 000009.jpg (1 in all)' in error(
        *lines, '000009.jpg 2\n'
    )
    assert 'line 9: "000009.jpg 3" is not' in error(*lines, '000009.jpg 3')
    assert 'line 9: 000001.jpg is there twice' in error(*lines, lines[0])
    assert 'gives no image to test' in error(
        *(line.replace(' 2', ' 1') for line in lines)
    )
    partition.unlink()
    assert 'list_eval_partition.txt is missing' in fails(
        'celeba-sr', celeba, tmp_path / 'dst'
    )


def test_celeba_image_smaller_than_the_crop(celeba, tmp_path):
    save(picture(100, 218, 0), celeba / 'img_align_celeba/000003.jpg')
    for command in ('celeba-sr', 'celeba-inpaint'):
        message = fails(command, celeba, tmp_path / command)
        assert '000003.jpg is 100x218, smaller than the center crop 178' in message
    message = fails('celeba-sr', celeba, tmp_path / 'dst', '--crop', 32)
    assert 'size 64 is larger than the center crop 32' in message
    message = fails('celeba-inpaint', celeba, tmp_path / 'dst', '--size', 32)
    assert 'local box of 64 does not fit into the image of 32x32' in message


def test_official_download_layout(celeba, tmp_path):
    (celeba / 'Img').mkdir()
    (celeba / 'Eval').mkdir()
    (celeba / 'img_align_celeba').rename(celeba / 'Img/img_align_celeba')
    name = 'list_eval_partition.txt'
    (celeba / name).rename(celeba / 'Eval' / name)
    run('celeba-sr', celeba, tmp_path / 'dst', '--limit', 1)
    assert len(files(tmp_path / 'dst')) == 7


# --- holes


def test_holes_are_uniform_and_inside_their_box():
    rng = random.Random(0)
    draws = [draw_hole(rng.randrange, 12, 10, 6, (3, 5)) for _ in range(20000)]
    for box, hole in draws:
        assert box[2:] == (6, 6)
        assert 0 <= box.top <= hole.top
        assert hole.top + hole.height <= box.top + 6 <= 12
        assert 0 <= box.left <= hole.left
        assert hole.left + hole.width <= box.left + 6 <= 10
    for values, kinds in (
        ([box.top for box, _ in draws], 7),
        ([box.left for box, _ in draws], 5),
        ([hole[2:] for _, hole in draws], 9),
        ([h.top - b.top for b, h in draws if h.height == 3], 4),
        ([h.left - b.left for b, h in draws if h.width == 5], 2),
    ):
        counts = np.array(list(Counter(values).values()))
        assert len(counts) == kinds
        expected = len(values) / kinds
        # 5 standard deviations of a binomial count
        assert np.abs(counts - expected).max() < 5 * expected**0.5
    mask = hole_mask(draws[0][1], 12, 10)
    assert mask.sum() == draws[0][1].height * draws[0][1].width
    with pytest.raises(ValueError, match=r'sides \(3, 7\) must be rising'):
        draw_hole(rng.randrange, 12, 12, 6, (3, 7))


# --- statistics


def test_stats_of_the_label_side(cityscapes, tmp_path, capsys):
    dst = tmp_path / 'dst'
    run('cityscapes', cityscapes, dst, '--size', 16)
    pairs = {
        split: np.stack([load(p) for p in sorted((dst / split).iterdir())]) / 255.0
        for split in ('train', 'val')
    }

    def check(pixels, *args):
        capsys.readouterr()
        run('stats', *args, workers=2)
        line = capsys.readouterr().out.strip()
        # As it stands in a config.
        norm = eval(line.removeprefix('input_norm='))
        np.testing.assert_allclose(norm['mean'], pixels.mean((0, 1, 2)), atol=6e-5)
        np.testing.assert_allclose(norm['std'], pixels.std((0, 1, 2)), atol=6e-5)

    check(pairs['train'][:, :, 16:], dst)
    check(pairs['train'][:, :, :16], dst, '--side', 'A')
    check(pairs['val'], dst / 'val')
    check(pairs['val'][:, :, 16:], dst / 'val', '--side', 'B')


def test_stats_bad_folders(tmp_path):
    assert 'is missing' in fails('stats', tmp_path / 'nowhere')
    gray = picture(31, 16, 0)
    gray[..., 2] = 7
    save(gray, tmp_path / 'train/a.png')
    assert 'a.png is 31x16: an odd width' in fails('stats', tmp_path)
    assert 'channel B has one value' in fails('stats', tmp_path / 'train')


# --- command line


def test_a_module_dropped_in_is_a_command(tmp_path, monkeypatch, capsys):
    (tmp_path / 'toy.py').write_text(
        'from mmagic_mr.data.prepare.command import Command\n'
        'def add(parser):\n'
        '    parser.add_argument("dst")\n'
        'def run(dst):\n'
        '    print("toy in", dst)\n'
        'COMMANDS = [Command("toy", "a data set of nothing", add, run)]\n'
    )
    monkeypatch.setattr(prepare, '__path__', [*prepare.__path__, str(tmp_path)])
    try:
        with pytest.raises(SystemExit):
            tool.main(['--help'])
        assert 'a data set of nothing' in capsys.readouterr().out
        tool.main(['toy', 'here'])
        assert capsys.readouterr().out == 'toy in here\n'
        (tmp_path / 'twin.py').write_text('from mmagic_mr.data.prepare.toy import *')
        with pytest.raises(RuntimeError, match='two modules declare the command toy'):
            prepare.find_commands()
    finally:
        for name in 'toy', 'twin':
            sys.modules.pop(f'mmagic_mr.data.prepare.{name}', None)


def test_a_picture_too_large_for_the_archive_is_refused(maps, tmp_path, monkeypatch):
    from mmagic_mr.data.prepare import maps as module

    monkeypatch.setattr(module, 'MAX_BYTES', 100)
    with tarfile.open(tmp_path / 'maps.tar.gz', 'w:gz') as tar:
        tar.add(maps, 'maps')
    message = fails('maps', tmp_path / 'maps.tar.gz', tmp_path / 'dst', '--size', 48)
    assert 'maps/train/' in message
    assert 'which no picture of this data set has' in message


def test_two_images_of_one_name(maps, tmp_path):
    save(picture(120, 60, 0), maps / 'train/1.png')
    message = fails('maps', maps, tmp_path / 'dst', '--size', 48)
    assert 'train/1.jpg and' in message
    assert 'train/1.png have the same name' in message


def test_a_folder_that_cannot_be_written_is_one_line(maps, tmp_path):
    (tmp_path / 'dst').write_text('a file')
    message = fails('maps', maps, tmp_path / 'dst' / 'deep', '--size', 48)
    assert 'Not a directory' in message


def test_help_imports_nothing_heavy():
    code = (
        'import runpy, sys\n'
        'try: runpy.run_path(sys.argv.pop(1), run_name="__main__")\n'
        'except SystemExit as end: assert end.code == 0\n'
        'heavy = {"torch", "mmagic", "mmcv", "mmengine", "numpy", "PIL"}\n'
        'assert not heavy & set(sys.modules), heavy & set(sys.modules)\n'
    )
    command = [sys.executable, '-c', code, str(TOOL)]
    for words in (['--help'], ['maps', '--help'], ['stats', '--help']):
        done = subprocess.run(
            [*command, *words], env=ENV, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert 'usage:' in done.stdout


def test_no_run_imports_torch(cityscapes, tmp_path):
    code = (
        'import runpy, sys\n'
        'runpy.run_path(sys.argv.pop(1), run_name="__main__")\n'
        'assert not {"torch", "mmagic", "mmcv", "mmengine"} & set(sys.modules)\n'
    )
    command = [sys.executable, '-c', code, TOOL, 'cityscapes', cityscapes]
    done = subprocess.run(
        [*map(str, command), str(tmp_path / 'dst'), '--size', '16', '--workers', '0'],
        env=ENV,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 'cityscapes train: 100%' in done.stderr


@pytest.mark.parametrize('option', ['--workers -1', '--size 0', '--limit x'])
def test_bad_numbers(option, capsys):
    with pytest.raises(SystemExit):
        tool.parse_args(['maps', 'a', 'b', *option.split()])
    assert option.split()[0] in capsys.readouterr().err
