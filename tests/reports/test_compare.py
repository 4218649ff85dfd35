"""A matrix of runs: what is missing is run, once, and comes into one table."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from PIL import Image

from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.reports import compare

# In place of tools/train.py and of the judge: a training is a file, its result a number
TRAIN = """
import argparse, pathlib, sys, time
parser = argparse.ArgumentParser()
parser.add_argument('config')
parser.add_argument('--work-dir', type=pathlib.Path)
parser.add_argument('--resume', action='store_true')
parser.add_argument('--cfg-options', default='')
args = parser.parse_args()
settings = {}
exec(pathlib.Path(args.config).read_text(), settings)
with open(args.work_dir / 'calls', 'a') as calls:
    calls.write('train ')
first = (args.work_dir / 'calls').read_text() == 'train '
time.sleep(settings.get('slow', 0) if first else 0)
if settings.get('broken'):
    sys.exit('it diverged')
(args.work_dir / 'start').write_text(args.cfg_options)
(args.work_dir / pathlib.Path(args.config).name).write_text('as mmengine does')
(args.work_dir / 'iter_1.pth').write_text(str(settings['level']))
(args.work_dir / 'last_checkpoint').write_text('elsewhere/iter_1.pth')
"""
JUDGE = """
import json, pathlib, sys
config, checkpoint, out, name, group = sys.argv[1:]
seed = int(pathlib.Path(config).stem)
value = float(pathlib.Path(checkpoint).read_text()) + seed
records = [dict(group='demo', key='modes', value=value, name=name, of=group)]
pathlib.Path(out).write_text(json.dumps(dict(records=records)))
"""
STUDY = """
expected = 'a rises with its seed'
numbers = {'demo/modes': 'modes', 'demo/none': 'nowhere'}
prepare = ['{tools}/data.py']
judge = '{tools}/judge.py {config} {checkpoint} {out} {name} {group}'
runs = {
    "sr/it's (a) first": dict(
        config='base.py', changes=dict(level=1), seeds=(0, 1, 2)),
    'sr/second': dict(config='base.py', changes=dict(level=5)),
}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project of its own, which is the current folder."""
    for name, text in {
        'tools/train.py': TRAIN,
        'tools/judge.py': JUDGE,
        'tools/data.py': "open('made', 'a').write('data ')",
        'configs/base.py': '',
        'study.py': STUDY,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder, jobs=2):
    study = compare.read_study(folder / 'study.py')
    compare.write_cells(study, folder, Path('out'))
    return study, compare.run_missing(Path('out'), jobs)


def test_all_is_run_once_and_comes_into_the_table(folder):
    study, whole = run(folder)
    assert whole
    _, again = run(folder)
    assert again
    assert (folder / 'made').read_text() == 'data '
    calls = sorted((folder / 'out').rglob('calls'))
    assert [path.read_text() for path in calls] == ['train '] * 4
    table = compare.collect(study, Path('out'))
    assert table["sr/it's (a) first"]['demo/modes'] == {0: 1.0, 1: 2.0, 2: 3.0}
    assert table['sr/second']['demo/modes'] == {0: 5.0}
    files = compare.write_results(study, Path('out'), Path('docs/study'))
    text, numbers = (file.read_text() for file in files)
    assert "| it's (a) first | 3 | 2.00 ± 1.00 |  |" in text
    assert '| second | 1 | 5.00 |  |' in text
    assert 'python tools/compare.py configs/studies/study.py' in text
    assert json.loads(numbers)['expected'] == 'a rises with its seed'


def test_what_the_test_logs_lies_with_its_training(folder):
    study = (folder / 'study.py').read_text()
    lines = [line for line in study.splitlines() if not line.startswith('judge')]
    (folder / 'study.py').write_text('\n'.join(lines))
    (folder / 'tools/test.py').write_text(
        "import sys; open(sys.argv[4], 'w').write(str(sys.argv))"
    )
    assert run(folder)[1]
    given = [path.read_text() for path in (folder / 'out').rglob('result.json')]
    logs = [re.search(r"'--work-dir', '(\S+)'", text)[1] for text in given]
    assert sorted(logs)[-1] == 'out/sr/second/0/test'
    assert len(set(logs)) == 4


def test_the_first_seed_of_all_runs_comes_first(folder):
    cells = compare.read_study(folder / 'study.py').cells()
    assert [seed for _, seed in cells] == [0, 0, 1, 2]


def test_what_fails_stops_nothing_else_and_is_run_again(folder):
    study = (folder / 'study.py').read_text()
    broken = study.replace('level=5)', 'level=5, broken=True)')
    (folder / 'study.py').write_text(broken)
    found, whole = run(folder)
    assert not whole
    table = compare.collect(found, Path('out'))
    assert table['sr/second'] == {}
    assert set(table["sr/it's (a) first"]['demo/modes']) == {0, 1, 2}
    assert 'it diverged' in (folder / 'out/sr/second/0/output.txt').read_text()
    (folder / 'study.py').write_text(study)
    with pytest.raises(UserError, match=r'second.0 was trained with another config'):
        run(folder)


def test_killed_and_started_again_it_goes_on(folder):
    slow = (folder / 'study.py').read_text().replace('level=1)', 'level=1, slow=60)')
    (folder / 'study.py').write_text(slow)
    study = compare.read_study(folder / 'study.py')
    compare.write_cells(study, folder, Path('out'))
    code = (
        'from pathlib import Path; from mmagic_mr.reports import compare; '
        'compare.run_missing(Path("out"), 1)'
    )
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, '-c', code], env=environment, start_new_session=True
    )
    first = folder / 'out' / study.runs[0].folder(0)
    deadline = time.monotonic() + 60
    while not (first / 'calls').exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (first / 'trained').exists()
    # Its second training is quick; the other seeds still sleep, and are not waited for
    target = str(Path('out') / study.runs[0].folder(0) / 'result.json')
    subprocess.run(['make', '-f', 'out/Makefile', target], check=True)
    assert (first / 'calls').read_text() == 'train train '


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('expected =', 'expectations =', 'a study has expected'),
        ("'demo/modes': 'modes'", "'demo/modes': 1", 'numbers'),
        ('seeds=(0, 1, 2)', 'seeds=(0, -1)', 'seeds'),
        ('seeds=(0, 1, 2)', 'seed=0', r'must be dict\(config=.*seed'),
        ("config='base.py', ", '', r'must be dict\(config='),
        ('level=5)', "level=5), start='sr/none'", "start: no other run 'sr/none'"),
        ('level=5)', "level=5), start='sr/second'", 'start: no other run'),
        (
            'level=5)',
            'level=5), seeds=(7,), judged_as="sr/it\'s (a) first"',
            'judged_as: .* has no seed 7',
        ),
    ],
)
def test_a_study_that_is_none_is_refused(folder, old, new, message):
    (folder / 'study.py').write_text(STUDY.replace(old, new))
    with pytest.raises(UserError, match=message):
        compare.read_study(folder / 'study.py')


def test_a_run_starts_from_another_and_is_judged_as_one(folder):
    study = (folder / 'study.py').read_text()
    study += """
runs['sr/third'] = dict(
    config='base.py', changes=dict(level=9), seeds=(1,), start="sr/it's (a) first")
runs['sr/stock'] = dict(
    config='base.py', changes=dict(level=3), judged_as='sr/second')
"""
    judge = (folder / 'tools/judge.py').read_text()
    judge += "pathlib.Path(out).with_name('config').write_text(config)\n"
    (folder / 'tools/judge.py').write_text(judge)
    (folder / 'study.py').write_text(study)
    _, whole = run(folder)
    assert whole
    third, stock = folder / 'out/sr/third/1', folder / 'out/sr/stock/0'
    started = (third / 'start').read_text()
    assert started == 'load_from=out/sr/it-s-a-first/1/iter_1.pth'
    assert (folder / 'out/sr/second/0/start').read_text() == ''
    assert (stock / 'config').read_text() == 'out/sr/second/0.py'
    assert (third / 'config').read_text() == 'out/sr/third/1.py'


def test_no_study(folder):
    with pytest.raises(MissingFileError, match='no study'):
        compare.read_study(folder / 'stud.py')


def check_within(changes, config):
    """Whether a config has all that was changed, at any depth."""
    for key, value in changes.items():
        if key == '_delete_':
            continue
        if isinstance(value, dict):
            check_within(value, config[key])
        else:
            assert config[key] == value, key


def test_the_projects_own_studies_build_their_configs(tmp_path, monkeypatch):
    """Every run's config reads, and says of the losses what the study says."""
    from mmengine.config import Config

    monkeypatch.chdir(tmp_path)
    for path in sorted((ROOT / 'configs' / 'studies').glob('*.py')):
        study = compare.read_study(path)
        compare.write_cells(study, ROOT, Path('out'))
        for study_run in {run.config: run for run in study.runs}.values():
            file = Path('out') / f'{study_run.folder(study_run.seeds[0])}.py'
            cfg = Config.fromfile(file, import_custom_modules=False)
            check_within(study_run.changes.get('model', {}), cfg.model.to_dict())


BLOCKS = [(shade, green, 0) for shade in (0, 1) for green in (10, 20)]


def test_pictures_of_the_first_seeds_are_put_below_each_other(folder):
    cuts = {'left': (0, 0, 10, 8), 'right': (20, 2, 30, 10)}
    text = (folder / 'study.py').read_text() + f'\ncuts = {cuts}\n'
    (folder / 'study.py').write_text(text)
    study = compare.read_study(folder / 'study.py')
    for shade, path in enumerate(('it-s-a-first', 'second')):
        cell = folder / 'out' / 'sr' / path / '0'
        assert cell == folder / 'out' / study.runs[shade].folder(0)
        cell.mkdir(parents=True)
        picture = Image.new('RGB', (30, 10), (shade, 10, 0))
        picture.paste((shade, 20, 0), (20, 0, 30, 10))
        picture.save(cell / 'result.png')
    files = compare.write_results(study, Path('out'), Path('docs/study'))
    assert [file.name for file in files[2:]] == ['study_sr.png']
    assert '![sr](study_sr.png)' in files[0].read_text()
    found = np.asarray(Image.open(files[2]))
    places = {color: np.argwhere((found == color).all(-1)) for color in BLOCKS}
    # Each in its place, and whole: 8 rows of 10
    assert {color: len(rows) for color, rows in places.items()} == dict.fromkeys(
        BLOCKS, 80
    )
    tops = {color: tuple(rows[0]) for color, rows in places.items()}
    assert tops[0, 10, 0][0] == tops[0, 20, 0][0] < tops[1, 10, 0][0]
    assert tops[0, 10, 0][1] == tops[1, 10, 0][1] == tops[1, 20, 0][1] - 14


def test_a_cut_outside_of_the_picture_is_refused(folder):
    text = (folder / 'study.py').read_text() + "\ncuts = {'all': (0, 0, 40, 8)}\n"
    (folder / 'study.py').write_text(text)
    study = compare.read_study(folder / 'study.py')
    cell = folder / 'out' / study.runs[0].folder(0)
    cell.mkdir(parents=True)
    Image.new('RGB', (30, 10)).save(cell / 'result.png')
    with pytest.raises(UserError, match=r'\(0, 0, 40, 8\) .*which is 30 x 10'):
        compare.write_results(study, Path('out'), Path('docs/study'))


def test_cuts_are_boxes(folder):
    text = (folder / 'study.py').read_text() + "\ncuts = {'all': (0, 0)}\n"
    (folder / 'study.py').write_text(text)
    with pytest.raises(UserError, match='cuts'):
        compare.read_study(folder / 'study.py')


def test_all_numbers_are_drawn_against_the_one_in_the_names(tmp_path):
    runs = {
        f'{loss}/K = {k}': dict(config='a.py', seeds=(0, 1))
        for loss in ('a loss, that is long', 'b')
        for k in (2, 10)
    }
    lines = [f'runs = {runs}', "numbers = {'x/y': 'Y'}", "expected = ''", "along = 'K'"]
    (tmp_path / 'study.py').write_text('\n'.join(lines))
    study = compare.read_study(tmp_path / 'study.py')
    for run, seed in study.cells()[:5]:  # a study that goes on
        cell = tmp_path / 'out' / run.folder(seed)
        cell.mkdir(parents=True)
        record = dict(group='x', key='y', value=len(run.name) + seed)
        (cell / 'result.json').write_text(json.dumps(dict(records=[record])))
        (cell / 'seconds').write_text('3.5\nTerminated\n1.0\n')  # killed, and resumed
    files = compare.write_results(study, tmp_path / 'out', tmp_path / 'study')
    assert files[2] == tmp_path / 'study.png'
    assert Image.open(files[2]).size > (1000, 300)
    assert '![All numbers](study.png)' in files[0].read_text()
    results = json.loads(files[1].read_text())['results']
    assert {s for row in results.values() for s in row.get('seconds', {}).values()} == {
        4.5
    }


def test_along_needs_a_number_in_every_name(folder):
    text = (folder / 'study.py').read_text() + "\nalong = 'K'\n"
    (folder / 'study.py').write_text(text)
    with pytest.raises(UserError, match=r'must end with "K = NUMBER"'):
        compare.read_study(folder / 'study.py')
