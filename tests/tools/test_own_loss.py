"""A loss in a user's own file, by `custom_imports` and `sample_losses` alone."""

import json
import subprocess
import sys

import pytest
from helpers import ROOT, tiny

LOSS = """\
import torch

from mmagic_mr.losses import SampleLoss
from mmagic_mr.host import MODELS


@MODELS.register_module()
class NearestSampleLoss(SampleLoss):
    min_samples = 3

    def loss_map(self, samples, target):
        return (samples - target.unsqueeze(1)).abs().amin(dim=1)
"""
CONFIG = """\
_base_ = {base!r}

custom_imports = dict(imports=['mmagic_mr.plugin', 'my_loss'])
model = dict(
    num_samples={k},
    gen_batch_size=2,
    sample_losses=dict(
        nearest=dict(type='NearestSampleLoss', loss_weight=10.0),
        mr=dict(type='MRLoss', loss_weight=10.0),
    ),
)
"""


@pytest.fixture
def train(tmp_path):
    """tools/train.py on a config that names the loss, with K samples."""
    (tmp_path / 'my_loss.py').write_text(LOSS)
    data = tiny.write_pairs(tmp_path / 'data')
    options = tiny.options(data)
    base = str(ROOT / 'configs/_base_/pix2pix_demo.py')

    def run(k):
        (tmp_path / 'own.py').write_text(CONFIG.format(base=base, k=k))
        command = [sys.executable, ROOT / 'tools/train.py', tmp_path / 'own.py']
        command += ['--work-dir', tmp_path / 'work', '--cfg-options']
        command += [f'{key}={value}' for key, value in options.items()]
        return subprocess.run(
            [*map(str, command)],
            env={'PYTHONPATH': f'{ROOT}:{tmp_path}', 'OMP_NUM_THREADS': '1'},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


def test_it_trains_beside_another(train, tmp_path):
    assert len(LOSS.splitlines()) <= 12
    done = train(k=3)
    assert done.returncode == 0, done.stderr[-2000:]
    (scalars,) = (tmp_path / 'work').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    training = [line for line in lines if 'loss_gan_g' in line]
    assert len(training) == 2
    for line in training:
        assert line['loss_nearest'] > 0
        assert 'loss_mr' in line


def test_too_few_samples_are_refused_when_the_model_is_built(train):
    done = train(k=2)
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "'nearest' (NearestSampleLoss) needs num_samples (K) of at least 3" in last
    assert last.endswith('and it is 2')
