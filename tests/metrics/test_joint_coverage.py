"""TARP in MMagic's evaluator: near its floor for an exact sampler alone."""

import pytest
import torch
from helpers.metrics import K, Model, evaluate

import mmagic_mr.plugin  # noqa: F401

TARP = dict(type='JointCoverage')


@pytest.mark.parametrize('c', [0.5, 1, 2])
def test_half_and_double_spread_stand_out(c):
    result, (metric,) = evaluate(Model(c), TARP, batch=20, inputs=60)
    (record,) = metric.records
    curve = record.extra['curve']
    assert len(curve['x']) == K + 2
    assert curve['y'][0] == 0
    assert curve['y'][-1] == pytest.approx(1)
    assert record.value == pytest.approx(
        max(abs(y - due) for y, due in zip(curve['y'], curve['due'], strict=True))
    )
    # Kolmogorov's bound, 99.9%, of 60 targets
    assert 0 < record.extra['floor'] < 0.25
    assert (record.value < 0.25) == (c == 1)
    assert result['joint/tarp_gap_low'] <= record.value
    assert '10 targets of other inputs' in record.protocol


def test_a_hole_counts_alone():
    class Hole(Model):
        def val_step(self, data):
            outputs = super().val_step(data)
            for output in outputs:
                mask = torch.zeros(1, 32, 32)
                mask[:, :16] = 1
                wrong = output.samples * mask + 255 * (1 - mask)
                output.set_tensor_data(dict(mask=mask, samples=wrong))
            return outputs

    whole, _ = evaluate(Hole(), TARP, batch=20, inputs=60)
    hole, (metric,) = evaluate(Hole(), dict(TARP, mask_key='mask'), batch=20, inputs=60)
    assert whole['joint/tarp_gap'] > 0.4
    assert hole['joint/tarp_gap'] < 0.25
    assert 'hole (mask)' in metric.records[0].protocol


def test_one_input_has_no_reference():
    result, _ = evaluate(Model(), TARP, inputs=1)
    assert result == {}
