"""What all metrics share: fields, channels, one sampling for all of them."""

import pytest
import torch
from helpers import tiny
from helpers.metrics import INPUTS, PIXEL, K, Model, evaluate

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.data.synthetic import scenes
from mmagic_mr.errors import UserError
from mmagic_mr.reports.results import read_run, write_run
from mmagic_mr.reports.table import record_table


def test_numbers_do_not_depend_on_the_batch_size():
    metrics = [
        dict(type='SampleDiversity', distance=PIXEL),
        dict(type='MomentCalibration', cells=(1,)),
    ]
    one, _ = evaluate(Model(), *metrics, batch=1)
    six, _ = evaluate(Model(), *metrics, batch=6)
    floors = [key for key in one if key.endswith('floor')]
    assert {k: v for k, v in one.items() if k not in floors} == {
        k: v for k, v in six.items() if k not in floors
    }


def test_missing_field_lists_those_that_are_there():
    with pytest.raises(UserError, match=r"no 'img_photo'.*gt_img.*samples"):
        evaluate(Model(), dict(type='MomentCalibration', target_key='img_photo'))


def test_channels_are_rgb_for_the_network():
    from mmagic_mr.metrics.base import rgb_unit

    bgr = torch.tensor([255.0, 0, 51]).view(3, 1, 1)
    assert rgb_unit(bgr).flatten().tolist() == pytest.approx([0.2, 0, 1])
    assert rgb_unit(torch.full((2, 1, 1, 1), 51.0)).shape == (2, 3, 1, 1)


def test_runner_draws_once_and_the_file_says_everything(tmp_path, monkeypatch):
    """A tiny Pix2Pix of ours through MMagic's test loop."""
    from mmengine.runner import Runner

    data = scenes.write_pairs(tmp_path / 'data', num_train=1, num_val=INPUTS)
    cfg = tiny.load('pix2pix_proxy_mr2_cityscapes', data, tmp_path / 'work')
    cfg.model.eval_num_samples = K
    cfg.test_evaluator = dict(
        type='Evaluator',
        metrics=[
            dict(type='SampleDiversity', distance=PIXEL),
            dict(
                type='MomentCalibration',
                truth='mmagic_mr.data.synthetic.scenes:truth_of_pair',
            ),
            dict(type='SampleFidelity', extractor=dict(kind='random')),
            dict(type='SampleReconstruction', distance=None),
        ],
    )
    runner = Runner.from_cfg(cfg)
    calls = []
    test_step = runner.model.test_step
    monkeypatch.setattr(
        runner.model,
        'val_step',
        lambda data, step=runner.model.val_step: calls.append('floor') or step(data),
    )
    monkeypatch.setattr(
        runner.model, 'test_step', lambda data: calls.append('test') or test_step(data)
    )
    runner.test()
    batches = len(runner.test_loop.dataloaders[0])
    assert calls.count('test') == batches
    metrics = runner.test_loop.evaluators[0].metrics
    records = [record for metric in metrics for record in metric.records]
    assert {r.group for r in records} == {metric.group for metric in metrics}
    file = tmp_path / 'run.json'
    write_run(
        file,
        method='ours',
        records=records,
        config_name='x',
        config_text=cfg.pretty_text,
        checkpoint=None,
        dataset=dict(size=INPUTS),
        seed=0,
        num_samples=K,
    )
    run = read_run(file)
    assert run['versions']['torch'] == torch.__version__.split('+')[0]
    table = record_table(run['records'])
    assert 'lee2019: 300 inputs x 20 samples' in table
    assert 'spread-skill ratio' in table
    assert 'random-convolutions-stand-in' in table


def test_the_model_says_which_field_is_the_target():
    class Other(Model):
        target_field = 'pred_mean'

    result, (metric,) = evaluate(Other(), dict(type='MomentCalibration', cells=(1,)))
    assert metric.gt_key == 'pred_mean'
    assert result['calibration/gain'] > 5  # the target is in the middle of the samples
    own = dict(type='MomentCalibration', cells=(1,), target_key='gt_img')
    result, (metric,) = evaluate(Other(), own)
    assert metric.gt_key == 'gt_img'
    assert result['calibration/gain'] < 2.1


def test_a_model_that_does_not_say_it_is_named():
    class Silent(Model):
        target_field = None

    with pytest.raises(UserError, match=r'Silent .* target_key in MomentCalibration'):
        evaluate(Silent(), dict(type='MomentCalibration'))
