"""What the explorer does behind its page."""

import base64
import io

import numpy as np
import pytest
from helpers import small_run
from PIL import Image

from mmagic_mr.apps import cli
from mmagic_mr.apps.explorer import Explorer, data_url, fit, hole_of, open_runs
from mmagic_mr.apps.outside import ELSEWHERE
from mmagic_mr.errors import MissingFileError, UserError


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs')
    for i in range(3):
        pair = small_run.write_picture(folder / f'data/val/{i}.png', 64, seed=i)
        Image.open(pair).crop((0, 0, 64, 32)).save(pair)
    for name in 'a', 'b':
        small_run.write_pix2pix(folder / 'photos' / name, folder / 'data')
    small_run.write_inpainting(folder / 'holes')
    return folder


@pytest.fixture(scope='module')
def explorer(runs):
    return open_runs(runs / 'photos', device='cpu')


def test_a_folder_of_runs_is_seen_side_by_side(runs, explorer):
    assert [*explorer.models] == ['a', 'b']
    beside = open_runs(
        runs / 'photos/a', others=[runs / 'photos/a', runs / 'photos/b'], device='cpu'
    )
    assert [*beside.models] == ['a', "a'", 'b']
    config = next((runs / 'photos/a').glob('*/vis_data/config.py'))
    one = open_runs(config, runs / 'photos/a', device='cpu')
    assert [*one.models] == ['config']
    with pytest.raises(UserError, match='a and holes take different inputs'):
        open_runs(runs / 'photos/a', others=[runs / 'holes'], device='cpu')
    with pytest.raises(MissingFileError, match='no folder of a run, and has none'):
        open_runs(runs / 'data')


def test_examples_are_the_inputs_of_the_data_set(runs, explorer):
    assert len(explorer.examples) == 3
    for i, example in enumerate(explorer.examples):
        pair = np.asarray(Image.open(runs / f'data/val/{i}.png'))
        assert np.array_equal(np.asarray(example.picture), pair[:, 32:])
        assert example.hole is None


def test_a_picture_gets_the_size_of_the_data_set(explorer, tmp_path):
    Image.new('RGB', (100, 60)).save(tmp_path / 'large.png')
    picture, note = explorer.read(tmp_path / 'large.png')
    assert picture.size == (32, 32)
    assert 'from 100 x 60 pixels to 32 x 32' in note
    labels = Image.new('RGB', (90, 96), (255, 0, 0))
    labels.paste((0, 0, 255), (0, 0, 45, 96))
    assert len(fit(labels, (32, 32)).getcolors()) == 2
    assert Explorer(explorer.models).read(tmp_path / 'large.png')[0].size == (100, 60)


def test_models_get_the_same_noise(explorer):
    picture = explorer.examples[0].picture
    drawn = explorer.draw(picture, None, ['a', 'b'], 3, seed=5, temperature=0.5)
    for site, z in drawn['a'].z.items():
        assert np.array_equal(z, drawn['b'].z[site])
    assert [*explorer.draw(picture, None, ['b'], 1, 0, 1.0)] == ['b']


def test_a_hole_of_a_stranger_is_looked_at():
    hole = np.zeros((4, 6), bool)
    hole[1, 2:5] = True
    url = data_url(Image.fromarray(hole).convert('RGB'))
    assert np.array_equal(hole_of(url, (6, 4)), hole)
    jpeg = io.BytesIO()
    Image.new('L', (6, 4)).save(jpeg, 'JPEG')
    other = f'data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}'
    for wrong in ('', 'data:,', 'data:image/png;base64,????', url[:60], other):
        with pytest.raises(UserError, match='the hole is no picture'):
            hole_of(wrong, (6, 4))
    with pytest.raises(UserError, match='the hole is no picture'):
        hole_of(url, (4, 6))


def test_the_page_loses_addresses_of_others_and_no_more():
    page = (
        b'<link rel="preconnect" href="https://fonts.example" />'
        b'<script\n src="https://cdn.example/a.js" async></script>'
        b'<script src="./own.js"></script><link rel="stylesheet" href="/own.css">'
        b'<a href="https://gradio.app/">text</a>'
    )
    assert ELSEWHERE.sub(b'', page) == (
        b'<script src="./own.js"></script><link rel="stylesheet" href="/own.css">'
        b'<a href="https://gradio.app/">text</a>'
    )


def test_without_a_demo_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFileError, match='`make demo` makes it'):
        cli.main([])
