"""CFID in MMagic's evaluator: it sees samples that are dealt to the wrong inputs."""

import logging

import pytest
import torch
from helpers.metrics import Model, evaluate

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.errors import UserError

NAME = 'random-convolutions-stand-in'
CFID = dict(type='ConditionalFidelity', extractor=dict(kind='random'))


class Tinted(Model):
    """Inputs of one color; a target is its input and noise, a sample that of `of`."""

    def __init__(self, shift):
        super().__init__()
        self.shift = shift

    def val_step(self, data):
        outputs = super().val_step(data)
        for index, output in zip(data, outputs, strict=True):
            own, shown = (
                255 * torch.rand(3, 1, 1, generator=torch.Generator().manual_seed(i))
                for i in (index, (index + self.shift) % 48)
            )
            rng = torch.Generator().manual_seed(5000 + index)
            noise = 20 * torch.randn(9, 3, 1, 1, generator=rng).expand(-1, -1, 32, 32)
            output.set_tensor_data(
                dict(
                    input=own.expand(-1, 8, 8),
                    gt_img=(own + noise[0]).clamp(0, 255),
                    samples=(shown + noise[1:]).clamp(0, 255),
                )
            )
        return outputs


@pytest.mark.parametrize('shift', [0, 1])
def test_it_sees_what_fid_does_not(shift):
    fid = dict(type='SampleFidelity', extractor=dict(kind='random'), measures=['fid'])
    result, (metric, _) = evaluate(Tinted(shift), CFID, fid, batch=8, inputs=48)
    (record,) = metric.records
    assert record.samples == 4
    assert record.extra['components'] == 6
    floor = record.extra['floor']
    if shift:
        assert record.value > 20 * floor
        assert result[f'fidelity/FID[{NAME}]'] < record.value / 10
    else:
        assert 0 < record.value < 1.5 * record.extra['floor_high']
    for said in '48 inputs, 4 samples of each', '6 principal components', 'floor: mean':
        assert said in record.protocol
    assert NAME in record.name
    assert record.network == NAME


def test_so_few_inputs_have_none_and_it_is_said(monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmagic_mr.metrics.conditional_fidelity.print_log',
        lambda text, logger, level: said.append((text, level)),
    )
    result, (metric,) = evaluate(Model(), CFID, inputs=7)
    assert metric.records == []
    assert result == {}
    assert said == [
        ('no CFID: it needs 8 inputs at least, the test set has 7', logging.WARNING)
    ]


def test_the_field_of_the_input_is_named():
    with pytest.raises(UserError, match="no 'img_label'"):
        evaluate(Model(), dict(CFID, input_key='img_label'))
