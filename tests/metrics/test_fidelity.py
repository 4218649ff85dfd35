"""Fidelity in MMagic's evaluator: named as what it was made with."""

import pytest
import torch
from helpers.metrics import K, Model, evaluate

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.errors import UserError
from mmagic_mr.metrics.fidelity import SampleFidelity


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


def test_a_small_test_set_gets_the_measures_it_allows():
    metric = SampleFidelity(extractor=dict(kind='random'))
    metric.prepare(Model(), small(5))
    assert metric.measures == ['fid', 'kid', 'precision_recall']
    metric.prepare(Model(), small(6))
    assert metric.measures == list(SampleFidelity.MEASURES)
    metric = SampleFidelity(extractor=dict(kind='random'), measures=metric.MEASURES)
    with pytest.raises(UserError, match='density_coverage needs 6 images'):
        metric.prepare(Model(), small(5))
    with pytest.raises(UserError, match=r"\['isc'\]"):
        SampleFidelity(extractor=dict(kind='random'), measures=['isc'])


def small(count):
    return torch.utils.data.DataLoader(range(count))


def test_more_fakes_than_samples_are_refused():
    metric = dict(
        type='SampleFidelity', extractor=dict(kind='random'), samples_per_input=K + 1
    )
    with pytest.raises(UserError, match=f'model.eval_num_samples={K + 1}'):
        evaluate(Model(), metric)
