"""From records to JSON, Markdown and a page that a browser sorts."""

import json
import math
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT
from PIL import Image

from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.metrics.record import Record
from mmagic_mr.reports.page import html_page
from mmagic_mr.reports.paper import TABLE_1
from mmagic_mr.reports.results import (
    file_hash,
    read_run,
    write_run,
)
from mmagic_mr.reports.table import (
    make_table,
    markdown,
    record_table,
    text_table,
)

TOOLS = ROOT / 'tools'


def record(group='diversity', key='lee2019/LPIPS', value=0.4, **changes):
    fields = dict(
        group=group,
        key=key,
        name='LPIPS',
        value=value,
        better='near the ceiling',
        protocol='lee2019: 300 inputs',
        network='alex v0.1',
        range='RGB in [-1, 1]',
        inputs=300,
        samples=20,
        seed=0,
        headline='diversity, LPIPS, lee2019',
        extra=dict(ceiling=0.56, floor=0.0),
    )
    return Record(**{**fields, **changes})


def records(diversity, ratio, **changes):
    return [
        record(value=diversity, low=diversity - 0.01, high=diversity + 0.01, **changes),
        record(
            'calibration',
            'spread_skill',
            ratio,
            name='spread-skill ratio',
            better='1',
            network='none',
            headline='spread-skill (1)',
            extra=dict(verdict='ok'),
        ),
        record(
            'calibration',
            'unevenness',
            0.1,
            name='rank histogram',
            better='0',
            network='none',
            headline='',
            extra=dict(ranks=[0.25, 0.5, 0.25]),
        ),
        record(
            'fidelity',
            'FID[stand-in]',
            12.0,
            network='stand-in',
            headline='FID, {network} (low)',
            extra={},
        ),
    ]


def write(folder, method, diversity=0.4, ratio=1.0, **changes):
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / 'collage.png')
    checkpoint = folder / 'weights.pth'
    checkpoint.write_bytes(b'abc')
    file = folder / f'{method[:3]}.json'
    write_run(
        file,
        method=method,
        records=records(diversity, ratio, **changes),
        config_name='a_config',
        config_text='x = 1',
        checkpoint=str(checkpoint),
        dataset=dict(type='Pairs', size=300, root='a/b'),
        seed=7,
        num_samples=20,
        collages=['collage.png'],
        other={'PSNR': 20.5},
    )
    return file


def test_run_comes_back_whole(tmp_path):
    run = read_run(write(tmp_path, 'MR2', ratio=math.inf))
    assert run['records'][0]['value'] == 0.4
    assert run['records'][0]['extra'] == dict(ceiling=0.56, floor=0)
    assert run['records'][1]['value'] is None  # JSON has no infinity
    assert run['checkpoint'] == dict(
        file='weights.pth',
        sha256=('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'),
    )
    assert run['config'] == dict(name='a_config', text='x = 1')
    assert run['other'] == {'PSNR': 20.5}
    assert run['seed'] == 7
    assert {'mmagic_mr', 'torch', 'lpips'} <= set(run['versions'])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        'MR2.json',
        'collage.png',
        'weights.pth',
    ]


def test_hash_of_nothing(tmp_path):
    (tmp_path / 'x').write_bytes(b'')
    assert file_hash(tmp_path / 'x').startswith('e3b0c44298fc1c14')


@pytest.mark.parametrize('text', ['{', '{}', '[1]', '\x00'])
def test_foreign_files_are_refused(tmp_path, text):
    (tmp_path / 'x.json').write_text(text)
    with pytest.raises(ValueError, match=r'no result of tools/test\.py'):
        read_run(tmp_path / 'x.json')
    (tmp_path / 'x.json').write_text('{"schema": 99}')
    with pytest.raises(ValueError, match='schema 99'):
        read_run(tmp_path / 'x.json')


@pytest.mark.parametrize(
    ('where', 'value', 'words'),
    [
        ('value', '0.4', r"'lee2019/LPIPS'\.value is '0\.4', not a number"),
        ('extra', {'ranks': ['<b>']}, r"ranks\.0 is '<b>', not a number"),
        ('surprise', 1, 'surprise'),
    ],
)
def test_records_that_are_none_are_refused(where, value, words, tmp_path):
    file = write(tmp_path, 'MR2')
    run = json.loads(file.read_text())
    run['records'][0][where] = value
    file.write_text(json.dumps(run))
    with pytest.raises(UserError, match=f'no whole result.*{words}'):
        read_run(file)
    del run['records'], run['config']
    file.write_text(json.dumps(run))
    with pytest.raises(UserError, match=r"no whole result.*'records'"):
        read_run(file)
    with pytest.raises(MissingFileError, match='no result'):
        read_run(tmp_path / 'none.json')


def test_markdown_lets_no_markup_through(tmp_path):
    text = markdown([read_run(write(tmp_path, '<b>x\n# y'))])
    assert '<b>' not in text
    assert '## &lt;b>x # y' in text


def test_one_column_holds_the_networks_of_all_runs(tmp_path):
    runs = [read_run(write(tmp_path, name)) for name in ('MR2', 'GAN')]
    for record in runs[1]['records']:
        record['network'] = record['network'].replace('stand-in', 'inception')
    table = make_table(runs)
    assert table.heads[-1] == 'FID, inception / stand-in (low)'
    assert [row[-1].text for row in table.rows.values()] == ['', '12.000', '12.000']
    assert 'network differs' in table.warnings[-1]


def test_table_of_a_run_says_how_each_number_was_made(tmp_path):
    table = record_table(read_run(write(tmp_path, 'MR2'))['records'])
    made = 'lee2019: 300 inputs | alex v0.1 | RGB in [-1, 1] | 300 inputs, K=20'
    assert made in table
    line = next(row for row in table.splitlines() if 'LPIPS' in row)
    for part in '0.4000', '[0.3900, 0.4100]', 'ceiling 0.5600', 'floor 0.0000':
        assert part in line
    assert text_table([], ['a', 'bb']) == 'a  bb\n-  --'


def test_table_1_has_real_data_realism_and_diversity(tmp_path):
    runs = [read_run(write(tmp_path, 'MR2')), read_run(write(tmp_path, 'GAN', 0.01))]
    realism = {'MR2': dict(mean=0.44, low=0.4, high=0.5)}
    table = make_table(runs, realism)
    assert table.heads == [
        'realism',
        'diversity, LPIPS, lee2019',
        'spread-skill (1)',
        'FID, stand-in (low)',
    ]
    assert [cell.text for cell in table.rows['Random real data']] == [
        '1.00',
        '0.560',
        '',
        '',
    ]
    assert [cell.text for cell in table.rows['MR2']] == [
        '0.44',
        '0.400',
        '1.000',
        '12.000',
    ]
    assert table.rows['MR2'][0].note == '[0.40, 0.50]'
    assert table.rows['MR2'][2].note == 'ok'
    assert table.rows['GAN'][0].text == ''
    assert table.warnings == []
    assert make_table(runs).heads[0].startswith('diversity')


def test_numbers_made_differently_are_flagged(tmp_path):
    runs = [
        read_run(write(tmp_path, 'MR2')),
        read_run(write(tmp_path, 'GAN', inputs=8, network='alex v0.0')),
    ]
    found = make_table(runs).warnings
    assert found == [
        'diversity, LPIPS, lee2019: not comparable, network differs: '
        'alex v0.0 / alex v0.1',
        'diversity, LPIPS, lee2019: not comparable, inputs differs: 300 / 8',
    ]
    assert found[0] in markdown(runs)


def test_bad_names_are_refused(tmp_path):
    run = read_run(write(tmp_path, 'MR2'))
    with pytest.raises(ValueError, match='NAME=FILE'):
        make_table([run, run])
    with pytest.raises(ValueError, match='MR9'):
        make_table([run], {'MR9': dict(mean=1)})


def test_markdown(tmp_path):
    text = markdown([read_run(write(tmp_path, 'M|2'))], paper='pix2pix-cityscapes')
    assert '| M\\|2 | 0.400 | 1.000 (ok) | 12.000 |' in text
    assert '| BicycleGAN | 0.16 | 0.191 |' in text
    assert 'weights.pth ba7816bf8f01' in text
    rows = [line for line in text.splitlines() if line.startswith('|')]
    assert len(rows) == 2 + 2 + 2 + len(TABLE_1['pix2pix-cityscapes']) + 2 + 4


def test_page_has_no_outside_resource_and_escapes(tmp_path):
    run = read_run(write(tmp_path, '<script>alert(1)</script>'))
    page = html_page([run], [tmp_path])
    assert '<script>alert' not in page
    assert '&lt;script&gt;alert(1)' in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert 'http' not in page.replace('http-equiv', '')
    assert page.count('data:image/png;base64,') == 1
    assert page.count('<svg') == 1
    assert 'name="viewport"' in page


def test_no_field_of_a_result_reaches_the_page_as_markup(tmp_path):
    """A result may come from someone else: every string and key in it is text."""
    evil = '<img src=x onerror=alert(1)>'

    def poisoned(value):
        if isinstance(value, dict):
            return {key: poisoned(item) for key, item in value.items()}
        if isinstance(value, list):
            return [poisoned(item) for item in value]
        return value + evil if isinstance(value, str) else value

    run = read_run(write(tmp_path, 'MR2'))
    for one in run['records']:
        one['unit'] = 'dB'
    run = {**poisoned(run), 'collages': run['collages']}
    run['versions'][evil] = '1'
    page = html_page([run], [tmp_path])
    assert evil not in page
    assert page.count('&lt;img src=x onerror=alert(1)&gt;') > 20


@pytest.mark.parametrize('kind', ['absolute', 'parent', 'link', 'text', 'folder'])
def test_collages_are_images_in_the_results_own_folder(kind, tmp_path):
    """A result must not carry other files of the reader's machine into the report."""
    secret = tmp_path / 'secret.png'
    Image.new('RGB', (2, 2)).save(secret)
    folder = tmp_path / 'run'
    folder.mkdir()
    run = read_run(write(folder, 'MR2'))
    if kind == 'link':
        (folder / 'linked.png').symlink_to(secret)
    if kind == 'text':
        (folder / 'key.png').write_text('private')
    names = dict(
        absolute=str(secret),
        parent='../secret.png',
        link='linked.png',
        text='key.png',
        folder='../run',
    )
    run['collages'] = [names[kind]]
    with pytest.raises(ValueError, match=f"collage '{re.escape(names[kind])}'"):
        html_page([run], [folder])


def test_tool_copies_no_file_from_elsewhere(tmp_path):
    Image.new('RGB', (2, 2)).save(tmp_path / 'secret.png')
    folder = tmp_path / 'run'
    folder.mkdir()
    file = write(folder, 'MR2')
    run = json.loads(file.read_text())
    run['collages'] = ['../secret.png']
    file.write_text(json.dumps(run))
    done = subprocess.run(
        [sys.executable, TOOLS / 'report.py', file, '--out', tmp_path / 'out'],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: collage '../secret.png'")
    assert not list(tmp_path.glob('out/*.png'))


def test_large_pictures_become_jpeg(tmp_path):
    run = read_run(write(tmp_path, 'MR2'))
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / 'collage.png')
    assert 'data:image/jpeg;base64,' in html_page([run], [tmp_path])
    (tmp_path / 'collage.png').unlink()
    assert '<img' not in html_page([run], [tmp_path])


def test_tool_writes_both_files(tmp_path):
    a, b = write(tmp_path, 'MR2'), write(tmp_path, 'GAN', 0.01)
    study = tmp_path / 'scores.json'
    study.write_text(
        json.dumps(
            dict(methods={'renamed': dict(realism=dict(mean=0.5, low=None, high=None))})
        )
    )
    out = tmp_path / 'out'
    done = subprocess.run(
        [
            sys.executable,
            TOOLS / 'report.py',
            f'renamed={a}',
            b,
            '--study',
            study,
            '--realism',
            'GAN=0.2',
            '--out',
            out,
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    text = (out / 'report.md').read_text()
    assert '| renamed | 0.50 | 0.400 |' in text
    assert '| GAN | 0.20 | 0.010 |' in text
    assert '![GAN](1_collage.png)' in text
    assert (out / '1_collage.png').is_file()
    assert 'renamed' in (out / 'report.html').read_text()
    done = subprocess.run(
        [sys.executable, TOOLS / 'report.py', study], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith('error: ')
    assert 'no result of tools/test.py' in done.stderr


@pytest.mark.skipif(not shutil.which('chromium'), reason='no chromium here')
def test_browser_sorts_with_the_missing_last(tmp_path):
    runs = [
        read_run(write(tmp_path, name, value, ratio))
        for name, value, ratio in (
            ('bbb', 0.2, 1.0),
            ('aaa', 0.3, math.inf),
            ('ccc', 0.1, 2.0),
        )
    ]
    page = html_page(runs, [tmp_path] * 3)
    click = (
        "<script>const b = document.querySelectorAll('thead button');"
        'const d = [];const s = () => d.push([...document.querySelectorAll('
        "'tbody tr')].slice(0, 4).map(r => r.cells[0].innerText).join());"
        'b[1].click(); s(); b[1].click(); s(); b[2].click(); s();'
        "document.title = 'order ' + d.join(';');</script>"
    )
    file = tmp_path / 'page.html'
    file.write_text(page.replace('</html>', click + '</html>'))
    done = subprocess.run(
        [
            'chromium',
            '--headless=new',
            '--no-sandbox',
            '--disable-gpu',
            '--dump-dom',
            f'--user-data-dir={tmp_path / "profile"}',
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    title = re.search('<title>order (.*?)</title>', done.stdout)
    assert title, done.stderr[-500:]
    up, down, ratio = title.group(1).split(';')
    assert up == 'ccc,bbb,aaa,Random real data'
    assert down == 'Random real data,aaa,bbb,ccc'
    assert ratio.startswith('bbb,ccc,')
