"""Diversity with its ceiling and floor, in MMagic's evaluator."""

import json

import numpy as np
import pytest
import torch
from helpers.metrics import INPUTS, PIXEL, K, Model, evaluate, sample_of

import mmagic_mr.plugin  # noqa: F401


def test_diversity_with_ceiling_and_floor():
    result, (metric,) = evaluate(
        Model(),
        dict(
            type='SampleDiversity', protocols=['lee2019', 'all-pairs'], distance=PIXEL
        ),
    )
    name = 'diversity/lee2019/mean-absolute-difference'
    # E|a - b| of two normal values is 2 sigma / sqrt(pi).
    assert result[name] == pytest.approx(2 * 12 / 255 / np.pi**0.5, rel=0.01)
    assert result[f'{name}_low'] < result[name] < result[f'{name}_high']
    assert result[f'{name}_floor'] == 0
    ring = [
        abs(sample_of(i, 1)[0] - sample_of(j, 1)[0]).mean().item() / 255
        for i in range(INPUTS)
        for j in range(i)
    ]
    assert min(ring) <= result[f'{name}_ceiling'] <= max(ring)
    record = metric.records[0]
    assert record.protocol.startswith('lee2019: 300 inputs x 20 samples')
    assert (record.inputs, record.samples) == (INPUTS, K)
    assert 'LPIPS' not in json.dumps(result)


def test_floor_sees_randomness_outside_z():
    result, _ = evaluate(
        Model(dropout=3),
        dict(type='SampleDiversity', protocols='all-pairs', distance=PIXEL),
    )
    assert result['diversity/all-pairs/mean-absolute-difference_floor'] > 0.005


def test_second_of_two_processes_takes_every_other_input(monkeypatch):
    from mmagic_mr.metrics import base
    from mmagic_mr.metrics.diversity import SampleDiversity
    from mmagic_mr.metrics.functional.protocols import choose_pairs

    monkeypatch.setattr(base, 'get_dist_info', lambda: (1, 2))
    model = Model()
    metric = SampleDiversity('lee2019', PIXEL)
    metric.prepare(model, torch.utils.data.DataLoader(range(INPUTS)))
    for index in 1, 3:  # as mmengine's sampler deals them to rank 1 of 2
        (output,) = model.val_step([index])
        metric.process([index], [output.to_dict()])
        pairs = choose_pairs('lee2019', K, 0, index)
        images = output.samples.flip(1) / 255
        expected = (images[pairs[:, 0]] - images[pairs[:, 1]]).abs().mean()
        found = metric.results[-1]['values']['lee2019']
        assert found == pytest.approx(expected.item(), rel=1e-5)


def test_second_evaluation_repeats_the_first():
    model = Model()
    metrics = [dict(type='SampleDiversity', distance=PIXEL)]
    _, (metric,) = evaluate(model, *metrics)
    metric.process([0, 1], [d.to_dict() for d in model.val_step([0, 1])])
    assert metric.results[0]['floor'] == 0


def test_too_few_samples_are_named_with_the_option():
    with pytest.raises(ValueError, match=r'huang2018 needs 38 .*eval_num_samples=38'):
        evaluate(
            Model(), dict(type='SampleDiversity', protocols='huang2018', distance=PIXEL)
        )
