"""The recipes of CONTRIBUTING.md: their files, put where they say, work."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

BLOCK = re.compile(r'```python\n# (\S+\.py)( \(at the end\))?\n(.*?)```', re.DOTALL)


def recipes():
    """Title of each recipe -> its files, as (path, appended, text)."""
    text = (ROOT / 'CONTRIBUTING.md').read_text()
    sections = re.split(r'^## ', text, flags=re.MULTILINE)[1:]
    return {s.splitlines()[0]: BLOCK.findall(s) for s in sections}


@pytest.fixture(scope='module')
def house(tmp_path_factory):
    """A copy of the repository with the files of all recipes in it."""
    copy = tmp_path_factory.mktemp('house')
    for part in 'mmagic_mr', 'configs', 'tools', 'tests/helpers', 'tests/models':
        ignore = shutil.ignore_patterns('__pycache__', '.mim', '*.pth')
        shutil.copytree(ROOT / part, copy / part, ignore=ignore)
    for file in 'tests/conftest.py', 'pyproject.toml':
        shutil.copy(ROOT / file, copy / file)
    for files in recipes().values():
        for path, appended, text in files:
            target = copy / path
            target.parent.mkdir(parents=True, exist_ok=True)
            assert target.exists() == bool(appended), path
            with target.open('a') as file:
                file.write(text)
    return copy


def run(house, *command):
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=house,
        env={'PYTHONPATH': str(house), 'OMP_NUM_THREADS': '1', 'PATH': ''},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_each_is_one_file_one_test_and_one_config():
    found = recipes()
    assert list(found) == [
        'Add a loss',
        'Add a host',
        'Add a metric',
        'Add a data set',
    ]
    for title, files in found.items():
        rooms = [Path(path).parts[0] for path, _, _ in files]
        config = [] if title == 'Add a metric' else ['configs']  # a line, in the text
        assert rooms == ['mmagic_mr', 'tests', *config], title


def test_their_tests_pass(house):
    tests = [
        path
        for files in recipes().values()
        for path, appended, _ in files
        if path.startswith('tests/') and not appended
    ]
    files = ' or '.join(Path(path).stem for path in tests)
    tests += ['tests/models/test_hosts.py', '-k', f'one_stage or {files}']
    out = run(house, '-m', 'pytest', *tests, '-v', '-p', 'no:cacheprovider')
    for words in (*files.split(' or '), 'one_stage'):
        assert re.search(rf'{words}.* PASSED', out), words


def test_their_configs_build(house):
    code = """
import sys
from mmengine.config import Config
from mmengine.registry import init_default_scope
import mmagic_mr.plugin
from mmagic_mr.host import METRICS, MODELS
init_default_scope('mmagic')
for path in sys.argv[1:]:
    cfg = Config.fromfile(path)
    if cfg.model.get('sample_losses'):
        model = MODELS.build(cfg.model)
        print(type(model).__name__, sorted(model.sample_losses))
print(METRICS.get('SampleBrightness').__name__)
"""
    paths = [
        path
        for files in recipes().values()
        for path, _, _ in files
        if 'configs' in path
    ]
    out = run(house, '-c', code, *paths)
    assert "MRPix2Pix ['mean', 'mr']" in out
    assert "MROneStageInpaintor ['crps']" in out
    assert 'SampleBrightness' in out
