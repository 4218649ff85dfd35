"""The energy score in MMagic's evaluator: least for the true spread."""

import pytest
import torch
from helpers.metrics import INPUTS, Model, evaluate

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.functional import crps, energy_score

SCORE = dict(type='SampleEnergyScore', patches=(1, 4))


def test_it_is_least_for_the_true_law_and_its_patch_of_one_is_the_crps():
    metric = dict(SCORE, extractor=dict(kind='random'), most=20)
    found = {
        c: evaluate(Model(c), metric, dict(type='MomentCalibration', cells=(1,)))[0]
        for c in (0.5, 1, 2)
    }
    for name in 'energy1', 'energy4', 'energy[random-convolutions-stand-in]':
        half, exact, double = (one[f'score/{name}'] for one in found.values())
        assert exact < 0.99 * min(half, double)
    for one in found.values():
        assert one['score/energy1'] == pytest.approx(one['calibration/crps'], rel=1e-5)


def test_numbers_are_those_of_the_function():
    model = Model()
    result, (metric,) = evaluate(model, dict(SCORE, most=5))
    values = []
    for index in range(INPUTS):
        (data,) = model.val_step([index])
        samples, target = (data.samples[:5] / 255).double(), data.gt_img.double() / 255
        values.append(energy_score(samples[None], target[None], 4).mean().item() / 4)
    assert result['score/energy4'] == pytest.approx(sum(values) / INPUTS, rel=1e-5)
    assert result['score/energy4_low'] < min(result['score/energy4'], sum(values))
    assert {record.samples for record in metric.records} == {5}


class Holes(Model):
    """Right in the hole, which is 4 x 4, and wrong outside."""

    def val_step(self, data):
        outputs = super().val_step(data)
        for output in outputs:
            mask = torch.zeros(1, 32, 32)
            mask[:, 8:12, 16:20] = 1
            output.set_tensor_data(
                dict(mask=mask, samples=output.samples * mask + 255 * (1 - mask))
            )
        return outputs


def test_the_hole_alone():
    metric = dict(type='SampleEnergyScore', patches=(1, 4, 16), mask_key='mask')
    result, (metric,) = evaluate(Holes(), metric)
    assert [record.key for record in metric.records] == ['energy1', 'energy4']
    assert all('hole (mask)' in record.protocol for record in metric.records)
    values = []
    for index in range(INPUTS):
        (data,) = Model().val_step([index])
        samples, target = (
            images[..., 8:12, 16:20] / 255 for images in (data.samples[:8], data.gt_img)
        )
        values.append(crps(samples[None], target[None]).mean().item())
    assert result['score/energy1'] == pytest.approx(sum(values) / INPUTS, rel=1e-4)
