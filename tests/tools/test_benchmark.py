"""What sharing work among the samples saves: counts, which no machine changes."""

import importlib.util

import pytest
import torch
from helpers import ROOT, pix2pix

from mmagic_mr.models.batch import Batch

TOOL = ROOT / 'tools' / 'benchmark.py'


@pytest.fixture(scope='module')
def benchmark():
    spec = importlib.util.spec_from_file_location('benchmark', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_shared_work_saves_flop_and_memory(benchmark):
    model = pix2pix.build(num_samples=10, base_channels=8)
    model.discriminators.requires_grad_(False)
    once = Batch(*torch.randn(2, 2, 3, 32, 32))
    repeated = Batch(*(v.repeat_interleave(10, 0) for v in (once.x, once.y)))
    flop, saved = benchmark.count(lambda: benchmark.update(model, once, 10))
    plain_flop, plain_saved = benchmark.count(
        lambda: benchmark.update(model, repeated, 1)
    )
    print(
        f'shared over repeated: FLOP {flop / plain_flop:.2f}, '
        f'bytes kept for backward {saved / plain_saved:.2f}'
    )
    assert 0.4 < flop / plain_flop < 0.65
    assert 0.4 < saved / plain_saved < 0.8
