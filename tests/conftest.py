"""What several test modules share."""

# ruff: noqa: E402
import fcntl
import os
import sys
from pathlib import Path

PARALLEL = 'PYTEST_XDIST_WORKER' in os.environ
if PARALLEL:
    # The processes share the cores; with threads of their own they would only wait for
    # each other. Before numpy and torch are imported, and for the tools that tests run.
    os.environ['OMP_NUM_THREADS'] = '1'

import cv2
import numpy as np
import pytest

# Existing files, to be locked: all processes see the same, and none is left behind.
DOOR, ROOM = Path(__file__).with_name('helpers') / '__init__.py', Path(__file__)

# These take the longest. They start first, or one process would end with one of them
# while the other has nothing left to do.
LONG = (
    'test_demo.py',
    'test_tools.py',
    'test_resume.py',
    'test_celeba.py',
    'test_compat.py',
    'test_browser.py',
)


def pytest_collection_modifyitems(items):
    """In parallel, the files of ``LONG`` first, and the others in their order."""
    if PARALLEL:
        rank = {name: number for number, name in enumerate(LONG)}
        items.sort(key=lambda item: rank.get(item.path.name, len(LONG)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Tests marked ``alone`` have the machine to themselves; all others share it.

    They enter the room through the door. Whoever waits for an empty room stands in the
    door, or others would keep coming in.
    """
    if not PARALLEL:
        return (yield)
    alone = item.get_closest_marker('alone') is not None
    with open(DOOR) as door, open(ROOM) as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        try:
            return (yield)
        finally:
            # Not left to `close`: a forked child of the test may have the file open.
            fcntl.flock(room, fcntl.LOCK_UN)


@pytest.fixture(autouse=True)
def _fixed_seed():
    """Tests that draw without a generator of their own repeat."""
    np.random.seed(0)  # noqa: NPY002  (MMagic's transforms draw from the global one)
    if 'torch' in sys.modules:
        sys.modules['torch'].manual_seed(0)


@pytest.fixture(autouse=True, scope='module')
def _mmengine_globals_of_a_module():
    """What a module's own fixtures make does not reach the next module."""
    yield from _restored_globals()


@pytest.fixture(autouse=True)
def _own_mmengine_globals(_mmengine_globals_of_a_module):
    """Forgets the loggers, hubs and scopes a test makes: none reaches the next test.

    A module-scoped fixture's are older than the test and stay.
    """
    yield from _restored_globals()


def _restored_globals():
    before = {manager: dict(manager._instance_dict) for manager in _managers()}
    yield
    for manager in _managers():
        manager._instance_dict.clear()
        manager._instance_dict.update(before.get(manager, {}))


def _managers():
    """Classes with global instances, MMagic's own too; none without mmengine.

    Their instances go by a name with the second: a test that begins in the same second
    as the one before would get the other's.
    """
    if 'mmengine' not in sys.modules:
        return []
    from mmengine.utils import ManagerMixin

    found = [ManagerMixin]
    for manager in found:
        found += manager.__subclasses__()
    return found[1:]


@pytest.fixture
def paired_root(tmp_path):
    """A folder of photo|label PNG pairs, 32x32 each: 4 in train, 2 in test."""
    rng = np.random.default_rng(0)
    for split, count in (('train', 4), ('test', 2)):
        folder = tmp_path / 'pairs' / split
        folder.mkdir(parents=True)
        for index in range(count):
            pair = rng.integers(0, 256, (32, 64, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / f'{index}.png'), pair)
    return tmp_path / 'pairs'
