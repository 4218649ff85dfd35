"""Each metric counts the same wherever the samples are, its networks included."""

import pytest
import torch
from helpers.elsewhere import second_device
from helpers.metrics import SIZE, Model, evaluate, random_trunk

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.metrics.base import EvaluationOptions, sample_metrics
from mmagic_mr.networks import backbone

# The letters' own needs a truth that has styles: test_style.py
OURS = {
    name: cls
    for name, cls in sample_metrics().items()
    if cls.__module__.startswith('mmagic_mr.') and name != 'StyleConsistency'
}


class Somewhere(Model):
    """Its samples, and all that comes with them, are on a device; with a hole."""

    def __init__(self, device):
        super().__init__()
        self.device = device

    def val_step(self, data):
        outputs = super().val_step(data)
        for output in outputs:
            output.set_tensor_data(dict(mask=torch.ones(1, SIZE, SIZE)))
            output.mask[:, :8] = 0
            moved = {
                name: value.to(self.device)
                for name, value in output.items()
                if isinstance(value, torch.Tensor)
            }
            output.set_tensor_data(moved)
        return outputs


@pytest.fixture(autouse=True)
def _untrained_trunk(monkeypatch, tmp_path):
    monkeypatch.setenv('MMAGIC_MR_CACHE', str(tmp_path))
    path = backbone.backbone_path()
    backbone.save_backbone(random_trunk(), path, 'alex', 'a test')


@pytest.mark.parametrize('hole', [False, True])
@pytest.mark.parametrize('name', OURS)
def test_a_metric_stays_on_its_device(name, hole):
    options = EvaluationOptions(
        protocols=('lee2019', 'all-pairs'), truth='helpers.metrics:truth', hole=hole
    )
    config = dict(type=name, **OURS[name].default_config(options))
    expected, _ = evaluate(Somewhere('cpu'), config, inputs=8)
    with second_device():
        found, _ = evaluate(Somewhere('meta'), config, inputs=8)
    assert found.keys() == expected.keys()
    numbers = {k: v for k, v in expected.items() if isinstance(v, int | float)}
    assert numbers
    for key, value in numbers.items():
        assert found[key] == pytest.approx(value, rel=1e-3, abs=1e-6, nan_ok=True), key
