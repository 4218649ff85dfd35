"""A checkpoint from before several losses, and the config keys of that time.

``checkpoints/pix2pix_proxy_mr2.pth`` was written after four iterations of the demo's
configuration with small networks; beside the weights it holds what that code drew and
predicted for one input, at every fourth pixel.
"""

from pathlib import Path

import pytest
import torch
from helpers import tiny
from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.inference import load_weights

CHECKPOINT = Path(__file__).parent / 'checkpoints' / 'pix2pix_proxy_mr2.pth'


@pytest.fixture
def model():
    init_default_scope('mmagic')
    cfg = Config.fromfile(tiny.CONFIGS / 'pix2pix_proxy_mr2_demo.py')
    cfg.merge_from_dict(tiny.NETWORKS['pix2pix'](32))
    cfg.model.whiten = cfg.model.pop('input_norm')
    cfg.model.discriminator.num_conv = 2
    return MODELS.build(cfg.model)


def test_it_loads_and_draws_what_it_drew(model):
    load_weights(model, CHECKPOINT)
    model.eval()
    stored = torch.load(CHECKPOINT, weights_only=True)
    x = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    samples = model.sample(x, num_samples=2, seed=0)
    moments = model.predict_moments(x)
    for name, image in (
        ('samples', samples),
        ('predicted', moments.center),
        ('dispersion', moments.dispersion),
    ):
        expected = stored[name]
        torch.testing.assert_close(image[..., ::4, ::4], expected, rtol=1e-4, atol=1e-5)
    assert bool(model.predictor.trained)
    assert samples.var(1).mean() > 0
