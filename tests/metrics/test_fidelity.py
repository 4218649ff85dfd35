"""Fidelity in MMagic's evaluator: named as what it was made with."""

import pytest
import torch
from helpers.metrics import Model, evaluate

import mmagic_mr.plugin  # noqa: F401


def test_fidelity_names_its_stand_in():
    result, (metric,) = evaluate(
        Model(), dict(type='SampleFidelity', extractor=dict(kind='random'))
    )
    name = 'random-convolutions-stand-in'
    assert {
        f'fidelity/{m}[{name}]'
        for m in ('FID', 'KID', 'precision', 'recall', 'density', 'coverage')
    } <= set(result)
    assert all(name in r.name and r.network == name for r in metric.records)
    assert 'biased up' in metric.records[0].protocol


def test_fidelity_refuses_a_small_test_set():
    from mmagic_mr.metrics.fidelity import SampleFidelity

    small = torch.utils.data.DataLoader(range(5))
    metric = SampleFidelity(extractor=dict(kind='random'))
    metric.prepare(Model(), small)
    assert metric.measures == ['fid', 'kid', 'precision_recall']
    metric = SampleFidelity(extractor=dict(kind='random'), measures=metric.MEASURES)
    with pytest.raises(ValueError, match='density_coverage needs 6 images'):
        metric.prepare(Model(), small)
