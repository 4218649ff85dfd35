"""Results, studies and pictures of others: odd ones end in one clear sentence."""

import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mmagic_mr.errors import UserError
from mmagic_mr.reports.report import read_realism, write_report
from mmagic_mr.reports.results import write_run

RECORD = dict(
    group='diversity',
    key='LPIPS',
    name='LPIPS',
    value=0.4,
    better='higher',
    protocol='all',
    network='none',
    range='[0, 1]',
    inputs=3,
    samples=2,
    seed=0,
    headline='LPIPS',
    extra=dict(ceiling=0.5, ranks=[0.5, 0.5]),
)


@pytest.fixture
def result(tmp_path):
    """Writes a result with changes: {'records.0.value': 1} sets that place."""

    def write(changes=None, name='run'):
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / 'collage.png')
        file = tmp_path / f'{name}.json'
        run = write_run(
            file,
            method=name,
            records=[],
            config_name='a',
            config_text='x = 1',
            checkpoint=None,
            dataset=dict(type='Pairs', size=3, root='a/b'),
            seed=7,
            num_samples=2,
            collages=['collage.png'],
        )
        run['records'] = [json.loads(json.dumps(RECORD))]
        for place, value in (changes or {}).items():
            *path, last = place.split('.')
            part = run
            for key in path:
                part = part[int(key) if isinstance(part, list) else key]
            part[last] = value
        file.write_text(json.dumps(run))
        return file

    return write


def bomb(width, height):
    """The head of a PNG that would be very large."""

    def chunk(kind, data):
        check = struct.pack('>I', zlib.crc32(kind + data))
        return struct.pack('>I', len(data)) + kind + data + check

    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    data = chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(bytes(1000)))
    return b'\x89PNG\r\n\x1a\n' + data + chunk(b'IEND', b'')


def test_a_good_one_is_reported(result, tmp_path):
    assert write_report([result()], tmp_path / 'out')


@pytest.mark.parametrize(
    ('place', 'value'),
    [
        ('records', {}),
        ('records', [7]),
        ('records.0.group', ['a']),
        ('records.0.headline', {'a': 1}),
        ('records.0.name', None),
        ('records.0.value', True),
        ('records.0.value', 10**400),
        ('records.0.low', 0.1),  # without high
        ('records.0.inputs', '3'),
        ('records.0.extra', [1]),
        ('records.0.extra.ranks', 5),
        ('records.0.extra.ranks', [0, 0]),
        ('records.0.extra.ranks', [float('nan'), 1]),
        ('records.0.extra.ranks', [-1, 2]),
        ('records.0.extra.ceiling', 'high'),
        ('records.0.extra.verdict', 5),
        ('method', 5),
        ('method', ''),
        ('collages', 'collage.png'),
        ('collages', [5]),
        ('checkpoint', 'weights.pth'),
        ('checkpoint', {'file': 'x'}),
        ('config', 'a'),
        ('config', {'name': 'a'}),
        ('dataset', []),
        ('dataset.root', 5),
        ('versions', ['1.0']),
        ('num_samples', '2'),
        ('seed', {}),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_odd_results_are_refused(result, tmp_path, place, value):
    file = result({place: value})
    with pytest.raises(UserError) as refusal:
        write_report([file], tmp_path / 'out')
    assert place.split('.')[-1] in str(refusal.value)
    assert 'run.json' in str(refusal.value)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('place', 'value', 'words'),
    [
        ('method', '\ud800', r'run\.json is no result'),  # half a character
        ('collages', ['a\0.png'], r"collage 'a.x00\.png' of 'run' is no image"),
    ],
    ids=['half-character', 'nul'],
)
def test_texts_that_no_file_can_have(result, tmp_path, place, value, words):
    with pytest.raises(UserError, match=words):
        write_report([result({place: value})], tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_key_that_is_missing_is_named(result, tmp_path):
    for key in 'seed', 'num_samples', 'versions':
        run = json.loads(result().read_text())
        del run[key]
        (tmp_path / 'run.json').write_text(json.dumps(run))
        with pytest.raises(UserError, match=rf'run\.json .*{key!r}'):
            write_report([tmp_path / 'run.json'], tmp_path / 'out')


def test_nesting_without_end_is_refused(tmp_path):
    (tmp_path / 'a.json').write_text('[' * 100_000)
    with pytest.raises(UserError, match='no result'):
        write_report([tmp_path / 'a.json'], tmp_path / 'out')


def test_a_name_of_several_lines_becomes_one(result, tmp_path):
    file = result({'method': 'a\n\n| b |'})
    _, text = write_report([file], tmp_path / 'out')
    assert '| a \\| b \\| |' in text.read_text()


def test_no_run_takes_the_place_of_the_real_data(result, tmp_path):
    file = result({'method': 'Random real data'})
    with pytest.raises(UserError, match='row of the data themselves'):
        write_report([file], tmp_path / 'out')
    assert write_report([f'mine={file}'], tmp_path / 'out')


@pytest.mark.parametrize(
    'content',
    [b'no picture', bomb(60_000, 30_000), bomb(12_000, 11_000)],
    ids=['none', 'huge', 'large'],
)
def test_pictures_that_are_none_are_refused(result, tmp_path, content):
    file = result()
    (tmp_path / 'collage.png').write_bytes(content)
    with pytest.raises(UserError, match=r'collage\.png'):
        write_report([file], tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    'text',
    [
        '\xff',
        '[]',
        '{"methods": {"a": {"realism": 5}}}',
        '{"methods": {"a": {"realism": {"mean": "1"}}}}',
        '{"methods": {"a": {"realism": {"mean": 1, "low": 0}}}}',
        '{"methods": {"a": {"realism": {"low": 1}}}}',
        '[' * 100_000,
    ],
)
def test_odd_studies_are_refused(tmp_path, text):
    (tmp_path / 'scores.json').write_bytes(text.encode('latin-1'))
    with pytest.raises(UserError, match=r'scores\.json is no result of tools/study'):
        read_realism(tmp_path / 'scores.json', [])


@pytest.mark.parametrize('value', ['a=b', 'a=nan', 'a=inf', '0.5'])
def test_odd_realism_is_refused(value):
    with pytest.raises(UserError, match='NAME=NUMBER'):
        read_realism(None, [value])
