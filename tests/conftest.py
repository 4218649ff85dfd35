"""What several test modules share."""

import sys

import cv2
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _fixed_seed():
    """Tests that draw without a generator of their own repeat."""
    np.random.seed(0)  # noqa: NPY002  (MMagic's transforms draw from the global one)
    if 'torch' in sys.modules:
        sys.modules['torch'].manual_seed(0)


@pytest.fixture(autouse=True)
def _own_mmengine_globals():
    """Forgets the loggers, hubs and scopes a test makes: none reaches the next test.

    A module-scoped fixture's are older than the test and stay.
    """
    before = {manager: dict(manager._instance_dict) for manager in _managers()}
    yield
    for manager in _managers():
        manager._instance_dict.clear()
        manager._instance_dict.update(before.get(manager, {}))


def _managers():
    """mmengine's registries of global instances; none while it is not imported."""
    if 'mmengine' not in sys.modules:
        return []
    from mmengine.logging import MessageHub, MMLogger
    from mmengine.registry import DefaultScope
    from mmengine.visualization import Visualizer

    return [MMLogger, MessageHub, DefaultScope, Visualizer]


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
