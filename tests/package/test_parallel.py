"""How the tests themselves run in two processes."""

import shutil
import subprocess
import sys

import pytest
from helpers import ROOT

TESTS = """
import os, time
from pathlib import Path
import pytest
{mark}
@pytest.mark.parametrize('number', range({count}))
def test_sleeps(number):
    assert os.environ['OMP_NUM_THREADS'] == '1'
    start = time.monotonic()
    time.sleep(0.1)
    name = f'{{Path(__file__).stem}}_{{number}}.txt'
    Path(__file__).with_name(name).write_text(f'{{start}} {{time.monotonic()}}')
"""


def test_tests_marked_alone_share_the_machine_with_none(tmp_path):
    pytest.importorskip('xdist')
    (tmp_path / 'helpers').mkdir()
    (tmp_path / 'helpers' / '__init__.py').touch()
    shutil.copy(ROOT / 'tests' / 'conftest.py', tmp_path)
    (tmp_path / 'pytest.ini').write_text('[pytest]\nmarkers = alone\n')
    alone = TESTS.format(mark='pytestmark = pytest.mark.alone', count=4)
    (tmp_path / 'test_alone.py').write_text(alone)
    (tmp_path / 'test_others.py').write_text(TESTS.format(mark='', count=12))
    command = [sys.executable, '-m', 'pytest', '-q', '-n', '2', '--dist', 'loadfile']
    done = subprocess.run(
        [*command, '-p', 'no:cacheprovider', '-p', 'no:pytest_cov'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    alone, others = (
        [tuple(map(float, path.read_text().split())) for path in tmp_path.glob(pattern)]
        for pattern in ('test_alone_*.txt', 'test_others_*.txt')
    )
    assert (len(alone), len(others)) == (4, 12)
    for start, end in alone:
        assert not any(start < other[1] and other[0] < end for other in others)
