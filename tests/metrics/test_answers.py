"""Samples against many real answers, in MMagic's evaluator."""

import logging

import numpy as np
import pytest
import torch
from helpers import metrics
from helpers.metrics import Model, evaluate

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.metrics.truth import real_answers, true_moments

ANSWERS = dict(type='AnswerDistance', truth='helpers.metrics:truth')


@pytest.mark.parametrize('c', [0.5, 1, 2])
def test_an_exact_sampler_scores_0_within_the_interval(c):
    result, (metric,) = evaluate(Model(c), ANSWERS, batch=10, inputs=30)
    for key in 'answers/energy', 'answers/mmd':
        low, high = result[f'{key}_low'], result[f'{key}_high']
        assert low < result[key] < high
        assert (low < 0 < high) == (c == 1)
        assert result[key] < 1e-4 if c == 1 else low > 1e-3
    for record in metric.records:
        assert '32 real answers' in record.protocol
        assert record.better == '0'


def test_without_a_truth_there_are_no_numbers():
    result, (metric,) = evaluate(Model(), dict(type='AnswerDistance'))
    assert result == {}
    assert metric.records == []


class Given:
    """A few answers, and no moments."""

    def __init__(self, path):
        rng = np.random.default_rng(int(path))
        self.answers = [metrics.truth(path).draw(rng) for _ in range(5)]


def test_answers_may_be_given(monkeypatch):
    monkeypatch.setattr(metrics, 'given', Given, raising=False)
    place = 'helpers.metrics:given'
    result, (metric, calibration) = evaluate(
        Model(),
        dict(type='AnswerDistance', truth=place),
        dict(type='MomentCalibration', cells=(1,), truth=place),
    )
    assert abs(result['answers/energy']) < 1e-3
    assert '5 real answers' in metric.records[0].protocol
    assert not [r for r in calibration.records if r.key.startswith('truth')]


def test_a_truth_of_moments_alone_is_said(monkeypatch):
    class Moments:
        mean = var = np.ones((3, 32, 32))

    monkeypatch.setattr(metrics, 'moments', lambda path: Moments(), raising=False)
    said = []
    monkeypatch.setattr(
        'mmagic_mr.metrics.answers.print_log',
        lambda text, logger, level: said.append((text, level)),
    )
    result, _ = evaluate(
        Model(), dict(type='AnswerDistance', truth='helpers.metrics:moments')
    )
    assert result == {}
    ((text, level),) = said
    assert 'neither draw nor answers' in text
    assert level == logging.WARNING


def test_pictures_are_rgb_and_moments_too():
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255

    class Red:
        answers = [red] * 3
        mean = red.transpose(2, 0, 1)[::-1]  # BGR
        var = mean

    pictures = real_answers(Red(), 2, np.random.default_rng(0))
    assert pictures.shape == (2, 3, 2, 2)
    assert pictures[0, :, 0, 0].tolist() == [1, 0, 0]
    mean, var = true_moments(Red())
    assert mean[:, 0, 0].tolist() == [1, 0, 0]
    assert var[0, 0, 0].item() == pytest.approx(1 / 255)
    assert torch.equal(pictures[0], mean.float())
