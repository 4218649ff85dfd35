"""The curve over the K-average in MMagic's evaluator."""

import math

import pytest
from helpers.metrics import PIXEL, K, Model, evaluate
from scipy import special

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.metrics.functional.averaging import exact_gain

AVERAGE = dict(type='SampleAverage', distance=PIXEL)


def test_curve_of_an_exact_sampler():
    result, (metric, _) = evaluate(
        Model(), AVERAGE, dict(type='SampleReconstruction', distance=PIXEL)
    )
    by_key = {record.key: record for record in metric.records}
    curve = by_key['PSNR'].extra['curve']
    assert curve['x'] == [1, 2, 4, 8, 16]
    assert curve['y'] == sorted(curve['y'])
    assert curve['y'][-1] == by_key['PSNR'].value
    assert by_key['PSNR'].samples == 16
    assert result['average/PSNR_gain'] == pytest.approx(exact_gain(16), abs=0.1)
    assert result['average/PSNR_gain_exact'] == exact_gain(16)
    one = result['reconstruction/PSNR_mean']
    assert curve['y'][0] == pytest.approx(one, abs=0.1)
    distances = by_key['mean-absolute-difference'].extra['curve']['y']
    assert distances == sorted(distances, reverse=True)
    c4 = math.sqrt(2 / (K - 1)) * special.gamma(K / 2) / special.gamma((K - 1) / 2)
    assert result['average/APSD'] == pytest.approx(12 / 255 * c4, rel=0.01)
    assert f'ddof 1, K={K}' in by_key['APSD'].name


def test_most_and_ddof():
    result, (metric,) = evaluate(
        Model(), dict(type='SampleAverage', distance=None, most=4, ddof=0)
    )
    other, _ = evaluate(Model(), dict(type='SampleAverage', distance=None))
    assert [r.key for r in metric.records] == ['PSNR', 'PSNR_gain', 'SSIM', 'APSD']
    assert metric.records[0].extra['curve']['x'] == [1, 2, 4]
    assert result['average/APSD'] == pytest.approx(
        other['average/APSD'] * math.sqrt((K - 1) / K)
    )
