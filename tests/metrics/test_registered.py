"""The metrics in MMagic's evaluator, on samplers with known answers and in a Runner."""

import json

import numpy as np
import pytest
import torch
from helpers import tiny
from PIL import Image

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.data.synthetic import scenes
from mmagic_mr.metrics.record import read_run, record_table, write_run

PIXEL = dict(name='pixel')
K, INPUTS, SIZE = 20, 6, 32


class Model(torch.nn.Module):
    """Draws `center + c * sigma * noise`; the targets are drawn likewise with c = 1."""

    def __init__(self, c=1.0, dropout=False):
        super().__init__()
        self.c, self.dropout, self.data_preprocessor = c, dropout, None
        self.calls = 0

    def val_step(self, data):
        from mmagic.structures import DataSample

        self.calls += 1
        outputs = []
        for index in data:
            target, center = sample_of(index, 1)
            rng = torch.Generator().manual_seed(1000 + index)
            noise = torch.randn(K, 3, SIZE, SIZE, generator=rng)
            samples = center + self.c * 12 * noise
            if self.dropout:
                samples = samples + self.dropout * torch.randn(()).sign() * self.calls
            output = DataSample(metainfo=dict(pair_path=str(index)))
            output.set_tensor_data(
                dict(
                    samples=samples.clamp(0, 255),
                    gt_img=target,
                    pred_mean=center,
                    pred_var=torch.full_like(center, 144.0),
                )
            )
            outputs.append(output)
        return outputs


def sample_of(index, c):
    rng = torch.Generator().manual_seed(index)
    center = 80 + 100 * torch.rand(3, SIZE, SIZE, generator=rng)
    return center + c * 12 * torch.randn(3, SIZE, SIZE, generator=rng), center


def evaluate(model, *metrics, batch=2):
    from mmengine.registry import DefaultScope
    from torch.utils.data import DataLoader

    DefaultScope.get_instance('test_metrics', scope_name='mmagic')
    from mmagic.evaluation import Evaluator

    evaluator = Evaluator([dict(metric) for metric in metrics])
    loader = DataLoader(range(INPUTS), batch_size=batch, collate_fn=list)
    evaluator.prepare_metrics(model, loader)
    groups = evaluator.prepare_samplers(model, loader)
    assert len(groups) == 1  # one sampler for all: the samples are drawn once
    for group, sampler in groups:
        for data in sampler:
            evaluator.process(model.val_step(data), data, group)
    result = evaluator.evaluate()
    return result, evaluator.metrics


@pytest.mark.parametrize(
    ('c', 'word'), [(0.5, 'under-dispersed'), (1, 'ok'), (2, 'over-dispersed')]
)
def test_calibration_names_the_spread(c, word):
    result, (metric,) = evaluate(Model(c), dict(type='MomentCalibration', cells=(1, 4)))
    assert result['calibration/spread_skill_verdict'] == word
    assert result['calibration/cells4/spread_skill_verdict'] == word
    assert result['calibration/predictor_var_ratio'] == pytest.approx(c * c, rel=0.02)
    assert result['calibration/predictor_mean_rmse'] < 0.003
    assert {r.samples for r in metric.records} == {K}
    assert {r.range for r in metric.records} == {'[0, 1]'}


def test_calibration_against_the_truth_of_the_dataset():
    result, _ = evaluate(
        Model(2),
        dict(
            type='MomentCalibration', cells=(1,), truth='test_metrics_registered:truth'
        ),
    )
    assert result['calibration/truth_var_ratio'] == pytest.approx(4, rel=0.02)


def truth(path):
    mean = sample_of(int(path), 1)[1].numpy()
    return scenes.Truth(mean[None], mean, np.full_like(mean, 144))


class Scenes(Model):
    """Draws from the true distribution of the demo's photos, spread c times."""

    def __init__(self, c, paths):
        super().__init__(c)
        self.paths = paths

    def val_step(self, data):
        from mmagic.structures import DataSample

        outputs = []
        for index in data:
            pair = np.array(Image.open(self.paths[index]))
            labels = scenes.read_labels(pair[:, SIZE:])
            rng = np.random.default_rng(index)
            photos = np.stack(
                [
                    scenes.take_photo(labels, look, rng)
                    for look in rng.integers(4, size=K)
                ]
            )
            photos = torch.tensor(photos[..., ::-1].copy()).permute(0, 3, 1, 2)
            mean = torch.tensor(scenes.truth_of_pair(self.paths[index]).mean.copy())
            output = DataSample(metainfo=dict(pair_path=str(self.paths[index])))
            output.set_tensor_data(
                dict(
                    samples=(mean + self.c * (photos - mean)).clamp(0, 255),
                    gt_img=torch.tensor(pair[:, :SIZE, ::-1].copy()).permute(2, 0, 1),
                )
            )
            outputs.append(output)
        return outputs


@pytest.mark.parametrize(
    ('c', 'word'), [(0.5, 'under-dispersed'), (1, 'ok'), (2, 'over-dispersed')]
)
def test_samplers_of_the_demo_scenes(c, word, tmp_path, monkeypatch):
    """Four modes a pixel, nothing Gaussian: the right spread passes all the same."""
    monkeypatch.setitem(globals(), 'INPUTS', 64)
    scenes.write_pairs(tmp_path, num_train=1, num_val=INPUTS)
    model = Scenes(c, sorted((tmp_path / 'val').glob('*.png')))
    truth = 'mmagic_mr.data.synthetic.scenes:truth_of_pair'
    result, _ = evaluate(
        model, dict(type='MomentCalibration', cells=(1, 16), truth=truth), batch=64
    )
    assert result['calibration/spread_skill_verdict'] == word
    assert result['calibration/cells16/spread_skill_verdict'] == word
    if c == 1:
        assert result['calibration/truth_var_ratio'] == pytest.approx(1, abs=0.05)
        assert result['calibration/gain'] == pytest.approx(2 * K / (K + 1), rel=0.05)
        assert result['calibration/outer'] == pytest.approx(1, abs=0.15)
        assert result['calibration/truth_mean_rmse'] < 0.01


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


def test_second_of_two_processes_takes_every_other_input(monkeypatch):
    from mmagic_mr.metrics import base
    from mmagic_mr.metrics.functional.protocols import choose_pairs
    from mmagic_mr.metrics.registered import SampleDiversity

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
    from mmagic_mr.metrics.registered import SampleFidelity

    small = torch.utils.data.DataLoader(range(5))
    metric = SampleFidelity(extractor=dict(kind='random'))
    metric.prepare(Model(), small)
    assert metric.measures == ['fid', 'kid', 'precision_recall']
    metric = SampleFidelity(extractor=dict(kind='random'), measures=metric.MEASURES)
    with pytest.raises(ValueError, match='density_coverage needs 6 images'):
        metric.prepare(Model(), small)


def test_reconstruction_best_and_mean():
    from mmagic.evaluation import PSNR, SSIM

    model = Model()
    result, _ = evaluate(model, dict(type='SampleReconstruction', distance=PIXEL))
    best, mean = {}, {}
    for kind in PSNR, SSIM:  # MMagic's own metrics, one sample at a time
        rows = []
        for index in range(INPUTS):
            (data,) = model.val_step([index])
            rows.append(
                [
                    kind(input_order='CHW').process_image(data.gt_img, s, None)
                    for s in data.samples
                ]
            )
        best[kind.__name__] = np.max(rows, 1).mean()
        mean[kind.__name__] = np.mean(rows)
    for name in best:
        assert result[f'reconstruction/{name}_best'] == pytest.approx(
            best[name], rel=1e-4
        )
        assert result[f'reconstruction/{name}_mean'] == pytest.approx(
            mean[name], rel=1e-4
        )
    name = 'reconstruction/mean-absolute-difference'
    assert result[f'{name}_best'] < result[f'{name}_mean']


def test_missing_field_lists_those_that_are_there():
    with pytest.raises(KeyError, match=r"no 'img_photo'.*gt_img.*samples"):
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
    assert {r.group for r in records} == {
        'diversity',
        'calibration',
        'fidelity',
        'reconstruction',
    }
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
