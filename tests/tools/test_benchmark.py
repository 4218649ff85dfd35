"""What sharing work and the switches save: counts, which no machine changes."""

import copy
import json
import sys
from functools import partial

import pytest
import torch
from helpers import ROOT, hosts, pix2pix, tiny
from mmengine.config import Config

from mmagic_mr.benchmark import measure
from mmagic_mr.benchmark.measure import ITERATION, UPDATE, compare, markdown, ratio
from mmagic_mr.benchmark.processes import measure_processes, processes_markdown
from mmagic_mr.benchmark.schemes import (
    AUTHORS,
    OURS,
    RECOMMENDED,
    REPEATED,
    Scheme,
    Switches,
    schemes,
)
from mmagic_mr.errors import UserError
from mmagic_mr.optim import bf16_supported

CPU = torch.device('cpu')
K = 6


def rows_of(name, switches=RECOMMENDED, repeats=0, num_samples=K, config=None):
    smooth = dict(mr_loss=dict(type='MRLoss', order=1), num_samples=num_samples)
    model = hosts.build(config or hosts.HOSTS[name].config, **smooth)
    data = hosts.HOSTS[name].data(2)
    batch = hosts.batch_of(model, data)
    return compare(schemes(model, switches), batch, data, repeats, CPU)


def column(rows, key, what=UPDATE):
    """Of the four schemes, in their order."""
    return [row[key] for row in rows if row['what'] == what]


@pytest.mark.parametrize('name', ['pix2pix', 'srgan', 'glcic', 'edit'])
def test_all_schemes_compute_the_same(name):
    rows = rows_of(name)
    losses, errors = column(rows, 'loss'), column(rows, 'gradient_error')
    print(markdown(rows))
    for loss in losses[1:3]:
        assert abs(loss / losses[0] - 1) < 1e-4
    assert max(errors[:3]) < 1e-4
    if bf16_supported(CPU):
        assert abs(losses[3] / losses[0] - 1) < 0.03
        # Global&Local's 17 normalized layers, untrained, of 8x8 places: chaos
        assert 1e-5 < errors[3] < (0.9 if name == 'glcic' else 0.3)
    for what in UPDATE, ITERATION:
        repeated, authors, ours, fast = column(rows, 'gflop', what)
        assert ours == fast
        assert ours < authors
        assert ours < repeated


def test_shared_work_and_half_precision_save_flop_and_memory():
    repeated, authors, ours, fast = range(4)
    config = pix2pix.config(base_channels=8)
    rows = rows_of('pix2pix', num_samples=10, config=config)
    flop, saved = column(rows, 'gflop'), column(rows, 'saved_mib')
    assert 0.4 < flop[ours] / flop[repeated] < 0.65
    assert flop[authors] < flop[repeated] * 1.05
    assert 0.4 < saved[ours] / saved[repeated] < 0.8
    if bf16_supported(CPU):
        assert 0.4 < saved[fast] / saved[ours] < 0.75


def test_the_authors_scheme_costs_the_gradients_of_the_discriminator():
    """A third of a convolution's backward and forward passes is its weights'."""
    from torch.utils.flop_counter import FlopCounterMode

    model = hosts.build(hosts.HOSTS['srgan'].config, num_samples=K)
    data = hosts.HOSTS['srgan'].data(2)
    batch = hosts.batch_of(model, data)
    first, second = (
        s for s in schemes(model, RECOMMENDED) if s.name in (REPEATED, AUTHORS)
    )
    found = {}
    for scheme in first, second:
        with FlopCounterMode(display=False, depth=None) as counter:
            scheme.update(batch)
        found[scheme.name] = counter.get_flop_counts()['Global']
    samples = torch.randn(2 * K, 3, 32, 32, requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        model.discriminator(samples)
    weights = torch.ops.aten.convolution_backward
    more = found[AUTHORS][weights] - found[REPEATED][weights]
    # What is before the noise is once per input here, K times there: a convolution
    conv = forward.get_flop_counts()['Global'][torch.ops.aten.convolution]
    assert 0.5 * conv < more < 1.05 * conv


def test_times_are_ratios_of_the_rounds():
    assert ratio([2.0, 4.0, 9.0], [1.0, 1.0, 3.0]) == 3.0
    rows = rows_of('edit', switches=Switches(channels_last=True), repeats=1)
    assert [row['ratio_to_repeated'] for row in rows if row['name'] == REPEATED] == [
        1,
        1,
    ]
    assert all(row['seconds'] > 0 for row in rows)
    assert {row['name'] for row in rows} == {
        REPEATED,
        AUTHORS,
        OURS,
        f'{OURS}, fused, channels-last',
    }
    assert column(rows, 'gradient_error')[3] < 1e-4  # float32
    with pytest.raises(UserError, match='--amp fp16 needs a GPU: take --amp'):
        rows_of('edit', switches=Switches(amp='fp16'))


def test_memory_is_kept_for_the_last_scheme_alone(monkeypatch):
    kept, seen = [False], []
    monkeypatch.setattr(measure, 'keep_freed_memory', lambda keep: kept.append(keep))
    monkeypatch.setattr(
        Scheme, 'update', lambda self, batch: seen.append((self.name, kept[-1]))
    )
    made = [Scheme('a', None, None), Scheme('b', None, None, keep_memory=True)]
    calls = {scheme.name: partial(scheme.update, None) for scheme in made}
    times = measure.rounds(calls, 1, CPU, kept={'b'})
    # Once off the clock before each of the two rounds, the first of which is warming up
    assert seen == 2 * [('a', False), ('b', True), ('b', True)]
    assert kept[-1] is False
    assert [len(rounds) for rounds in times.values()] == [1, 1]


def test_the_tool_writes_its_rows(tmp_path, monkeypatch, capsys):
    import importlib.util

    spec = importlib.util.spec_from_file_location('b', ROOT / 'tools/benchmark.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    out = tmp_path / 'speed.json'
    small = [f'{k}={v}' for k, v in tiny.NETWORKS['glcic'](32).items() if '.disc' in k]
    options = (
        'glcic_recommended_celeba --sizes 32 --num-samples 2 --inputs 1 --repeats 0 '
        f'--device cpu --json {out} --cfg-options'
    )
    monkeypatch.setattr(sys, 'argv', ['benchmark.py', *options.split(), *small])
    tool.main()
    assert '| generator update | GFLOP |' in capsys.readouterr().out
    found = json.loads(out.read_text())
    assert len(found['rows']) == 8
    keys = 'name what gflop saved_mib seconds ratio_to_repeated ratio_to_authors'
    assert set(keys.split()) < found['rows'][0].keys()
    assert found['rows'][0]['size'] == 32


def test_two_processes_compute_what_one_does():
    config = copy.deepcopy(hosts.EDIT) | dict(num_samples=4)
    config['sample_losses'] = dict(crps=dict(type='CRPSLoss'))
    modules = dict(imports=['mmagic_mr.plugin'])
    cfg = Config(
        dict(model=config, train_dataloader=dict(batch_size=2), custom_imports=modules)
    )
    rows = measure_processes(cfg, 2, 32, processes=2, repeats=1, device='cpu')
    one, inputs, samples = (row for row in rows if row['what'] == UPDATE)
    assert one['name'] == 'one process'
    assert samples['name'] == 'samples over 2 processes'
    assert one['gradient_error'] == 0
    assert max(inputs['gradient_error'], samples['gradient_error']) < 1e-4
    assert inputs['gflop'] == one['gflop'] / 2
    assert 0.4 < samples['saved_mib'] / one['saved_mib'] < 0.9
    for row in rows:
        assert row['inputs_per_second'] == row['inputs'] / row['seconds']
        assert row['processes'] == (1 if row['name'] == 'one process' else 2)
    assert '| samples over 2 processes |' in processes_markdown(rows)
    for number, words in (3, '--inputs 3 is no'), (2, '--num-samples 3 is no'):
        cfg.model.num_samples = 3
        with pytest.raises(UserError, match=f'--processes 2: {words} multiple'):
            measure_processes(cfg, number, 32, 2, 0, 'cpu')
