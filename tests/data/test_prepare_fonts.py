"""Letters from font files: what is drawn, what is left out, how typefaces are dealt."""

import importlib.util
import json
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from helpers.letters import FONTS, HELD_OUT, PLAIN, TRAINING, copy_fonts
from PIL import Image

from mmagic_mr import cli
from mmagic_mr.data.letters import render
from mmagic_mr.data.letters.overview import TITLE
from mmagic_mr.data.letters.render import CHARACTERS, draw_typeface
from mmagic_mr.data.prepare import fonts as prepare


def run(*args):
    spec = importlib.util.spec_from_file_location(
        'prepare_data', ROOT / 'tools' / 'prepare_data.py'
    )
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    with cli.short_errors():
        tool.main(['fonts', *map(str, args), '--workers', '0'])


def fails(*args):
    with pytest.raises(SystemExit) as caught:
        run(*args)
    assert '\n' not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path):
    return copy_fonts(tmp_path / 'src', [PLAIN, *TRAINING, *HELD_OUT])


def test_the_command(folder, tmp_path, capsys):
    copy_fonts(folder / 'more', ['STIXNonUni', 'LastResortHE-Regular', 'cmex10'])
    (folder / 'broken.otf').write_bytes(b'no font')
    (folder / 'OFL.txt').write_text('a licence')
    dst = tmp_path / 'dst'
    picture = tmp_path / 'some.png'
    run(dst, '--fonts', folder, '--plain', PLAIN, '--picture', picture)
    said = capsys.readouterr().out
    assert said == 'typefaces: 1 plain, 5 training, 3 held_out, 4 left_out\n'
    note = json.loads((dst / 'manifest.json').read_text())
    assert note['counts'] == dict(plain=1, training=5, held_out=3)
    assert (note['training'], note['held_out']) == (TRAINING, HELD_OUT)
    assert note['families']['DejaVuSerif'] == note['families']['DejaVuSans'] == 'DejaVu'
    assert note['left_out'] == {
        'LastResortHE-Regular': 'draws one box for all letters',
        'STIXNonUni': "has no 'H'",
        'broken': 'is no font',
        'cmex10': "'0' is higher than the cell",
    }
    # An input, five answers, mean and spread, of six pairs
    with Image.open(picture) as image:
        assert image.size == (8 * 64, 6 * 64 + TITLE)
    strips = sorted(dst.glob('typefaces/*.png'))
    assert {path.stem for path in strips} == {PLAIN, *TRAINING, *HELD_OUT}
    strip = np.asarray(Image.open(dst / 'typefaces' / 'cmr10.png'))
    assert (strip == np.concatenate([*draw_typeface(FONTS / 'cmr10.ttf')], 1)).all()
    # Again: the same; with another plain typeface: refused
    run(dst, '--fonts', folder, '--plain', PLAIN)
    assert capsys.readouterr().out == said
    assert 'was made with' in fails(dst, '--fonts', folder, '--plain', 'cmr10')


@pytest.mark.parametrize('name', ['DejaVuSans', 'cmtt10'])
def test_capitals_stand_on_the_line_equally_high(name):
    cells = draw_typeface(FONTS / f'{name}.ttf')
    assert cells.shape == (62, 64, 32)
    assert cells.dtype == np.uint8
    rows, columns = np.nonzero(cells[CHARACTERS.index('H')] < 128)
    assert (rows.min(), rows.max() + 1) == (render.BASELINE - 24, render.BASELINE)
    for cell in cells:
        _, columns = np.nonzero(cell < 250)
        # In the middle, within the rounding to a pixel, and not at the edge
        assert abs(columns.min() + columns.max() - 31) <= 1
        assert columns.min() >= 1
    assert len({cell.tobytes() for cell in cells}) == 62


def test_a_character_that_the_font_lacks_is_a_box(monkeypatch):
    monkeypatch.setattr(render, 'CHARACTERS', 'A\ue123')  # DejaVu draws its box
    with pytest.raises(render.Unusable, match=r"draws a box for '\\ue123'"):
        draw_typeface(FONTS / 'DejaVuSans.ttf')


def test_folders_that_do_not_do(folder, tmp_path):
    dst = tmp_path / 'dst'
    assert 'folder /no is missing' in fails(dst, '--fonts', '/no')
    (tmp_path / 'empty').mkdir()
    assert 'holds no file .ttf or .otf' in fails(dst, '--fonts', tmp_path / 'empty')
    said = fails(dst, '--fonts', folder)
    assert 'no usable typeface Roboto-Regular' in said
    assert '--plain' in said
    few = copy_fonts(tmp_path / 'few', ['cmr10', 'cmb10', 'DejaVuSans'])
    assert '3 families' in fails(dst, '--fonts', few, '--plain', 'cmr10')
    copy_fonts(folder / 'again', ['cmr10'])
    assert 'the same name' in fails(dst, '--fonts', folder, '--plain', PLAIN)
    assert not (dst / 'manifest.json').exists()


def test_every_tenth_family_is_held_out_with_all_its_typefaces(tmp_path):
    families = {f'{n:02d}{kind}': f'Family{n:02d}' for n in range(25) for kind in 'ab'}
    found = prepare._dealt(families, '04a', tmp_path)
    assert found['held_out'] == ['04b', '14a', '14b', '24a', '24b']
    assert sorted(found['training'] + found['held_out'] + ['04a']) == sorted(families)


def test_the_wheel_is_asked_for_by_its_hash_and_unpacked_alone(tmp_path, monkeypatch):
    asked = []

    def pip(command, **_):
        work = command[command.index('-d') + 1]
        asked.append((command, Path(work, 'wheel.txt').read_text()))
        with zipfile.ZipFile(f'{work}/trdg-1.8.0-py3-none-any.whl', 'w') as wheel:
            wheel.writestr('trdg/run.py', 'raise SystemExit')
            wheel.writestr('trdg/fonts/latin/cmr10.ttf', 'a')
            wheel.writestr('trdg/fonts/cn/other.ttf', 'b')
        return subprocess.CompletedProcess(command, 0, '', '')

    monkeypatch.setattr(prepare.subprocess, 'run', pip)
    folder = prepare.fetch_fonts(tmp_path / 'dst' / 'fonts')
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [
        ('cmr10.ttf', 'a')
    ]
    assert list(folder.parent.iterdir()) == [folder]
    ((command, wanted),) = asked
    assert {'--no-deps', '--require-hashes', '--only-binary=:all:'} <= {*command}
    assert wanted.startswith('trdg==1.8.0 --hash=sha256:')
    assert prepare.fetch_fonts(folder) == folder  # not again
    assert len(asked) == 1


def test_a_download_that_fails_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def pip(command, **_):
        return subprocess.CompletedProcess(command, 1, '', 'WARNING: x\nERROR: no net')

    monkeypatch.setattr(prepare.subprocess, 'run', pip)
    said = fails(tmp_path / 'dst')
    assert 'ERROR: no net' in said
    assert '--fonts' in said
    assert list((tmp_path / 'dst').iterdir()) == []
