"""What tools/test.py does, on tiny models of the three hosts with untrained weights."""

import sys

import pytest
import torch
from helpers import tiny

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.errors import UserError
from mmagic_mr.host import METRICS, MODELS
from mmagic_mr.metrics.base import EvaluationOptions, sample_metrics
from mmagic_mr.networks import backbone
from mmagic_mr.reports.page import html_page
from mmagic_mr.reports.results import read_run
from mmagic_mr.reports.run import add_metrics, run_and_write
from mmagic_mr.reports.table import make_table, markdown


def config(**model):
    from mmengine.config import Config

    return Config(dict(model=dict(type='MRPix2Pix', num_samples=10, **model)))


@pytest.mark.parametrize(
    ('protocols', 'has', 'gets'),
    [
        (['lee2019'], None, 20),
        (['lee2019', 'huang2018'], 10, 38),
        (['zhu2017'], 40, 40),
        (['all-pairs'], None, 10),
        (['all-pairs'], 5, 5),
    ],
)
def test_model_draws_what_the_protocols_need(protocols, has, gets):
    cfg = config(eval_num_samples=has)
    add_metrics(cfg, EvaluationOptions(protocols=protocols))
    assert cfg.model.eval_num_samples == gets


def test_own_choice_of_metrics_stays():
    cfg = config()
    cfg.test_evaluator = dict(metrics=dict(type='MomentCalibration', cells=(1,)))
    add_metrics(cfg)
    assert cfg.test_evaluator.metrics == dict(type='MomentCalibration', cells=(1,))
    psnr = [dict(type='PSNR', gt_key='img_photo')]
    for form in psnr, dict(metrics=psnr), dict(type='Evaluator', metrics=psnr):
        cfg.test_evaluator = form
        add_metrics(cfg, EvaluationOptions(stand_in=True))
        assert [metric.type for metric in cfg.test_evaluator.metrics] == [
            'PSNR',
            *sample_metrics(),
        ]
    cfg.test_evaluator = [dict(metrics=psnr)] * 2
    with pytest.raises(ValueError, match='2 test sets'):
        add_metrics(cfg)


def test_extractor_hole_and_truth_reach_the_metrics():
    cfg = config()
    cfg.truth, cfg.truth_path_key = 'a:b', 'gt_path'
    add_metrics(cfg, EvaluationOptions(extractor='net.pt', hole=True, seed=3))
    added = {metric.type: metric for metric in cfg.test_evaluator.metrics}
    assert added['SampleFidelity'].extractor == dict(kind='torchscript', path='net.pt')
    assert added['SampleDiversity'].mask_key == 'mask'
    assert added['MomentCalibration'].mask_key == 'mask'
    assert 'mask_key' not in added['SampleReconstruction']
    for name in 'MomentCalibration', 'AnswerDistance', 'StyleConsistency':
        assert added[name].truth == 'a:b'
        assert added[name].truth_path_key == 'gt_path'
    for name in 'ConditionalFidelity', 'SampleEnergyScore':
        assert added[name].extractor == added['SampleFidelity'].extractor
    for name in 'JointCoverage', 'SampleEnergyScore', 'AnswerDistance':
        assert added[name].mask_key == 'mask'
    assert {metric.seed for metric in cfg.test_evaluator.metrics} == {3}


@pytest.fixture
def _no_trunk(monkeypatch, tmp_path):
    monkeypatch.setenv('MMAGIC_MR_CACHE', str(tmp_path / 'empty'))


def evaluated(name, tmp_path, size=32, **options):
    from mmengine.runner import Runner

    cfg = tiny.load(
        name,
        tiny.write_data(name, tmp_path / 'data', size=size),
        tmp_path / 'work',
        size=size,
    )
    protocols = ['all-pairs']
    add_metrics(cfg, EvaluationOptions(protocols, stand_in=True, **options))
    cfg.model.eval_num_samples = 3
    cfg.test_dataloader.batch_size = 2
    runner = Runner.from_cfg(cfg)
    checkpoint = tmp_path / 'weights.pth'
    torch.save(runner.model.state_dict(), checkpoint)
    table = run_and_write(runner, checkpoint, 'ours', tmp_path / 'out' / 'run.json', 2)
    return read_run(tmp_path / 'out' / 'run.json'), table


@pytest.mark.usefixtures('_no_trunk')
@pytest.mark.parametrize(
    ('name', 'size', 'options'),
    [
        ('pix2pix_noise_cityscapes', 32, {}),
        ('srgan_mr2_celeba', 32, {}),
        ('glcic_mr2_celeba', 64, dict(hole=True)),
    ],
)
def test_every_host_from_weights_to_file(name, size, options, tmp_path):
    run, table = evaluated(name, tmp_path, size, **options)
    by_key = {f'{r["group"]}/{r["key"]}': r for r in run['records']}
    assert run['num_samples'] == 3
    assert run['dataset']['size'] == 3
    assert run['config']['name'] == name
    assert (tmp_path / 'out' / run['collages'][0]).is_file()
    diversity = by_key['diversity/all-pairs/mean-absolute-difference']
    assert diversity['extra']['floor'] == 0
    assert 0 < diversity['extra']['ceiling'] < 1
    region = 'hole (mask)' if options else 'image'
    assert diversity['extra']['region'] == region
    assert by_key['calibration/spread_skill']['value'] > 0
    assert 'fidelity/FID[random-convolutions-stand-in]' in by_key
    assert 'LPIPS' not in table
    assert ('reconstruction/LR-PSNR_mean' in by_key) == name.startswith('srgan')
    assert 'written to' in table
    assert '--all' in table
    assert len(table.splitlines()) < 25


@pytest.mark.usefixtures('_no_trunk')
def test_missing_trunk_stops_before_the_sampling(tmp_path):
    from mmengine.runner import Runner

    name = 'pix2pix_noise_cityscapes'
    cfg = tiny.load(name, tiny.write_data(name, tmp_path / 'data'), tmp_path / 'work')
    add_metrics(cfg)
    runner = Runner.from_cfg(cfg)
    with pytest.raises(backbone.BackboneMissing, match=r'tools/fetch_backbone\.py'):
        runner.test()


def test_the_model_class_says_what_evaluation_it_needs(monkeypatch):
    cfg = config()
    cfg.model.type = 'MRSRGAN'
    add_metrics(cfg)
    added = {metric.type: metric for metric in cfg.test_evaluator.metrics}
    assert added['SampleReconstruction'].low_key == 'input'
    monkeypatch.setattr(MODELS.get('MRSRGAN'), 'evaluation', {'Nonsense': {}})
    cfg.test_evaluator = None
    with pytest.raises(UserError, match=r'MRSRGAN\.evaluation names Nonsense'):
        add_metrics(cfg)


OWN_METRIC = """
from mmagic_mr.host import METRICS
from mmagic_mr.errors import UserError
from mmagic_mr.host import METRICS, MODELS
from mmagic_mr.metrics.base import SampleMetric


@METRICS.register_module()
class Brightness(SampleMetric):
    group = 'brightness'
    headlines = {'mean': 'brightness (equal)'}

    def measure(self, index, samples, target, mask, data, data_batch):
        return dict(mean=samples.mean().item(), samples=len(samples))

    def summarize(self, results):
        return [
            self.record(
                key='mean',
                name='mean brightness',
                value=sum(row['mean'] for row in results) / len(results),
                better='that of the data',
                protocol='all samples',
                network='none',
                range='[0, 1]',
                inputs=len(results),
                samples=results[0]['samples'],
            )
        ]
"""


@pytest.fixture
def own_metric(tmp_path, monkeypatch):
    """A metric in a file of the user's, as a config's custom_imports brings it."""
    from mmengine.utils import import_modules_from_strings

    (tmp_path / 'my_own_metric.py').write_text(OWN_METRIC)
    monkeypatch.syspath_prepend(tmp_path)
    import_modules_from_strings(['my_own_metric'])
    yield 'Brightness'
    METRICS.module_dict.pop('Brightness')
    sys.modules.pop('my_own_metric')


@pytest.mark.usefixtures('_no_trunk')
def test_an_own_metric_is_everywhere_by_itself(own_metric, tmp_path):
    cfg = config()
    add_metrics(cfg)
    assert own_metric in [metric.type for metric in cfg.test_evaluator.metrics]

    run, text = evaluated('pix2pix_noise_cityscapes', tmp_path)
    (record,) = (r for r in run['records'] if r['group'] == 'brightness')
    assert 0 < record['value'] < 1
    assert record['inputs'] == record['samples'] == 3
    assert 'brightness/mean' not in run['other']
    assert 'brightness (equal)' in text
    table = make_table([run])
    value = f'{record["value"]:.3f}'
    column = table.heads.index('brightness (equal)')
    assert table.rows['ours'][column].text == value
    assert '| mean brightness |' in markdown([run])
    page = html_page([run], [tmp_path / 'out'])
    assert 'brightness (equal)' in page
    assert f'data-label="brightness (equal)" data-v="{record["value"]}">{value}' in page


def test_a_metric_in_the_registry_of_mmengine_counts_too():
    from mmengine.registry import METRICS as ROOT

    cls = METRICS.get('SampleFidelity')
    own = type('OwnFidelity', (cls,), {})
    ROOT.register_module(module=own)
    try:
        assert sample_metrics()['OwnFidelity'] is own
        assert sample_metrics()['SampleFidelity'] is cls
    finally:
        ROOT.module_dict.pop('OwnFidelity')


def test_an_own_metric_alone_stays_alone(own_metric):
    cfg = config()
    cfg.test_evaluator = dict(metrics=dict(type=own_metric))
    add_metrics(cfg)
    assert cfg.test_evaluator.metrics == dict(type=own_metric)
