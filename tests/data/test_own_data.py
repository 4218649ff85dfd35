"""The data tool on a stranger's pictures: what is taken, and why the rest is not."""

import importlib.util
import json

import numpy as np
import pytest
from helpers import ROOT
from PIL import Image, ImageOps

from mmagic_mr import cli
from mmagic_mr.data.pictures import shrink, to_square
from mmagic_mr.data.prepare.selection import Selection, drawn_for_val

spec = importlib.util.spec_from_file_location('tool', ROOT / 'tools/prepare_data.py')
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


def run(*args, workers=0):
    with cli.short_errors():
        tool.main([*map(str, args), '--workers', str(workers)])


def fails(*args):
    with pytest.raises(SystemExit) as caught:
        run(*args)
    message = str(caught.value)
    assert message.startswith('error: ')
    assert '\n' not in message
    return message


def picture(width, height, seed):
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((width, height))


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


@pytest.fixture
def home(tmp_path):
    """12 pairs in order, 48x40 and 40x48; `a` has labels of four colors."""
    for i in range(12):
        width, height = ((48, 40), (40, 48))[i % 2]
        labels = np.random.default_rng(i).integers(0, 2, (height, width, 1)) * 255
        labels = Image.fromarray(labels.repeat(3, 2).astype(np.uint8))
        save(labels, tmp_path / f'a/sub/{i}.{("png", "BMP")[i % 2]}')
        save(picture(2 * width, 2 * height, i), tmp_path / f'b/sub/{i}.png')
    return tmp_path


def manifest(folder):
    return json.loads((folder / 'manifest.json').read_text())


def pairs(folder):
    return {path.stem: np.asarray(Image.open(path)) for path in folder.glob('*/*.png')}


def test_pairs_are_the_middle_of_both(home, capsys):
    run('pairs', home / 'a', home / 'b', home / 'dst', '--size', 32, '--labels')
    assert 'taken: 12 pairs of 32x32 (11 train, 1 val)' in capsys.readouterr().out
    found = pairs(home / 'dst')
    assert set(found) == {f'sub_{i}' for i in range(12)}
    label = np.asarray(Image.open(home / 'a/sub/0.png'))
    photo = Image.open(home / 'b/sub/0.png')
    middle = Image.fromarray(label[:, 4:44]).resize((32, 32), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(found['sub_0'][:, :32], np.asarray(middle))
    expected = ImageOps.fit(photo, (32, 32), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(
        found['sub_0'][:, 32:].astype(int), np.asarray(expected).astype(int), atol=1
    )
    # Labels are not mixed, photos are
    assert set(np.unique(found['sub_0'][:, :32])) == {0, 255}
    said = manifest(home / 'dst')
    assert said['settings'] == {'size': 32, 'fit': 'crop', 'labels': True, 'val': 0.1}
    assert said['counts'] == {'train': 11, 'val': 1}
    assert said['left_out'] == {}


def test_squeezed_pairs_hold_all_of_the_picture(home):
    run('pairs', home / 'a', home / 'b', home / 'dst', '--size', 32, '--fit', 'squeeze')
    photo = Image.open(home / 'b/sub/1.png').resize((32, 32), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(
        pairs(home / 'dst')['sub_1'][:, 32:], np.asarray(photo)
    )


def test_what_cannot_be_used_is_left_out_with_its_reason(home, capsys):
    a, b = home / 'a', home / 'b'
    data = (b / 'sub/0.png').read_bytes()
    (b / 'sub/0.png').write_bytes(data[: len(data) // 2])  # truncated
    (b / 'sub/1.png').write_bytes(b'')
    (b / 'sub/2.png').unlink()
    save(picture(48, 40, 0), a / 'sub/3.jpg')  # beside 3.BMP
    save(picture(20, 20, 0), b / 'sub/4.png')
    save(picture(96, 60, 0), b / 'sub/5.png')  # of 40x48
    clear = np.zeros((80, 96, 4), np.uint8)
    save(Image.fromarray(clear), b / 'sub/6.png')
    (a / 'notes.txt').write_text('no picture')
    (a / '.hidden.png').write_text('no picture')
    save(picture(48, 40, 0), a / 'sub_7.png')  # would be written as sub/7
    save(picture(48, 40, 0), b / 'sub_7.png')
    run('pairs', a, b, home / 'dst', '--size', 32)
    left_out = manifest(home / 'dst')['left_out']
    counts = {reason: len(what) for reason, what in left_out.items()}
    assert counts == {
        'no picture by the suffix': 1,
        'two files of one name': 1,
        'without a partner': 2,  # 2 of a, and 3 of b
        'would become the file of sub/7': 1,
        'cannot be read': 3,
        'smaller than 32': 1,
        'two shapes in one pair': 1,
    }
    assert 'sub/6.png has transparent pixels' in ' '.join(left_out['cannot be read'])
    assert left_out['smaller than 32'] == [f'{b}/sub/4.png (20x20)']
    out = capsys.readouterr().out
    assert 'taken: 5 pairs' in out
    assert 'left out: 10' in out
    for reason in counts:
        assert f'  {reason}: ' in out
    assert set(pairs(home / 'dst')) == {f'sub_{i}' for i in (7, 8, 9, 10, 11)}


def test_any_mode_becomes_the_same_eight_bits(home):
    gray = picture(48, 40, 7).convert('L')
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    opaque = Image.merge('RGBA', [*[gray] * 3, Image.new('L', gray.size, 255)])
    for name, image in ('gray', gray), ('deep', deep), ('opaque', opaque):
        save(image, home / f'a/{name}.png')
        save(picture(48, 40, 0), home / f'b/{name}.webp', lossless=True)
    run('pairs', home / 'a', home / 'b', home / 'dst', '--size', 32, workers=2)
    found = pairs(home / 'dst')
    np.testing.assert_array_equal(found['gray'], found['deep'])
    np.testing.assert_array_equal(found['gray'], found['opaque'])


def test_blurred_labels_are_told(home, capsys):
    run('pairs', home / 'b', home / 'a', home / 'one', '--size', 32, '--labels')
    assert 'warning' not in capsys.readouterr().out
    save(picture(48, 40, 0), home / 'a/x.jpg')
    save(picture(48, 40, 0), home / 'b/x.png')
    run('pairs', home / 'a', home / 'b', home / 'two', '--size', 32, '--labels')
    assert 'warning: 1 inputs are JPEG or WebP' in capsys.readouterr().out


def test_a_stopped_run_goes_on_and_other_settings_are_refused(home, monkeypatch):
    run('pairs', home / 'a', home / 'b', home / 'dst', '--size', 32)
    whole = pairs(home / 'dst')
    (home / 'dst/manifest.json').rename(home / 'dst/manifest.partial.json')
    some = sorted((home / 'dst/train').glob('*.png'))[:5]
    for path in some:
        path.unlink()
    run('pairs', home / 'a', home / 'b', home / 'dst', '--size', 32)
    for name, image in pairs(home / 'dst').items():
        np.testing.assert_array_equal(image, whole[name])
    assert len(whole) == manifest(home / 'dst')['counts']['train'] + 1
    other = '--size', 32, '--val', 0.5
    message = fails('pairs', home / 'a', home / 'b', home / 'dst', *other)
    assert 'was made with val=0.1, this run asks for val=0.5: delete it' in message
    # Before hours go into looking at the pictures, and with what differs alone
    monkeypatch.setattr(Selection, 'examine', None)
    other = '--size', 64, '--labels'
    message = fails('pairs', home / 'a', home / 'b', home / 'dst', *other)
    assert (
        'with size=32, labels=False, this run asks for size=64, labels=True' in message
    )
    message = fails('images', home / 'a', home / 'dst')
    assert 'was made with pairs, this run asks for images: delete it' in message


def test_mistakes_are_one_line(home):
    a, b = home / 'a', home / 'b'
    assert 'is not a multiple of 32' in fails('pairs', a, b, home / 'd', '--size', 40)
    assert f'{home}/none is missing' in fails('pairs', home / 'none', b, home / 'd')
    assert 'both A_DIR and B_DIR' in fails('pairs', b, b, home / 'd')
    assert 'whose files are read' in fails('pairs', a, b, a / 'd', '--size', 32)
    assert 'whose files are read' in fails('images', a, a / 'd')
    message = fails('pairs', a, b, home / 'd', '--size', 256)
    assert '0 of 12 can be used, and two are needed' in message
    assert 'smaller than 256' in message
    (home / 'empty').mkdir()
    message = fails('images', home / 'empty', home / 'd')
    assert '0 of 0 can be used' in message
    assert not (home / 'd').exists()


def test_images_keep_their_shape(home, capsys):
    run('images', home / 'b', home / 'dst', '--size', 40, '--val', 0.25)
    assert 'taken: 12 pictures of 40 (9 train, 3 val)' in capsys.readouterr().out
    found = pairs(home / 'dst')
    assert found['sub_0'].shape == (40, 48, 3)
    expected = Image.open(home / 'b/sub/0.png').resize((48, 40), Image.BICUBIC)
    np.testing.assert_array_equal(found['sub_0'], np.asarray(expected))
    pixels = [np.asarray(Image.open(p)) for p in (home / 'dst/train').glob('*.png')]
    mean = np.concatenate([p.reshape(-1, 3) for p in pixels]).mean(0)
    assert manifest(home / 'dst')['mean_color'] == pytest.approx(mean, abs=0.01)


def test_val_is_drawn_by_name():
    names = [str(i) for i in range(100)]
    val = drawn_for_val(names, 0.1)
    assert len(val) == 10
    assert val == drawn_for_val(reversed(names), 0.1)
    assert val <= drawn_for_val(names, 0.2)
    assert len(drawn_for_val(names[:2], 0.9)) == 1


def test_shapes():
    image = picture(90, 60, 0)
    assert shrink(image, 30).size == (45, 30)
    assert shrink(image, 100) is image
    assert to_square(image, 60).size == (60, 60)
    np.testing.assert_array_equal(
        np.asarray(to_square(image, 60)), np.asarray(image)[:, 15:75]
    )
