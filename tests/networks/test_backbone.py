"""The trunk's file: found, checked, and its damage seen."""

import subprocess
import sys

import pytest
import torch
from helpers import ROOT
from helpers.metrics import random_trunk

from mmagic_mr.metrics.networks.perceptual import PerceptualDistance
from mmagic_mr.networks import backbone


def test_cache_dir_order(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'xdg'))
    monkeypatch.delenv('MMAGIC_MR_CACHE', raising=False)
    assert backbone.cache_dir() == tmp_path / 'xdg' / 'mmagic_mr'
    monkeypatch.setenv('MMAGIC_MR_CACHE', str(tmp_path / 'own'))
    assert backbone.cache_dir() == tmp_path / 'own'
    assert backbone.cache_dir(tmp_path / 'flag') == tmp_path / 'flag'


def test_missing_trunk_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv('MMAGIC_MR_CACHE', str(tmp_path))
    with pytest.raises(backbone.BackboneMissing, match=r'fetch_backbone\.py'):
        PerceptualDistance()


def test_saved_trunk_comes_back_and_damage_is_seen(tmp_path):
    arrays = random_trunk()
    file = tmp_path / 'alex-conv.safetensors'
    digest = backbone.save_backbone(arrays, file, 'alex', 'a test')
    state, read = backbone.load_backbone('alex', file)
    assert read == digest == backbone.content_hash(arrays)
    assert all(torch.equal(state[k], torch.from_numpy(v)) for k, v in arrays.items())
    assert [p.name for p in tmp_path.iterdir()] == [file.name]
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match='damaged'):
        backbone.load_backbone('alex', file)


def test_wrong_shapes_are_named(tmp_path):
    arrays = random_trunk()
    arrays['features.0.weight'] = arrays['features.0.weight'].transpose(2, 3, 1, 0)
    with pytest.raises(ValueError, match=r'features\.0\.weight'):
        backbone.save_backbone(arrays, tmp_path / 'x', 'alex', 'a test')


def test_help_imports_no_torch():
    tool = ROOT / 'tools' / 'fetch_backbone.py'
    code = (
        "import runpy, sys; sys.argv = ['x', '--help']\n"
        f"try: runpy.run_path({str(tool)!r}, run_name='__main__')\n"
        'except SystemExit: pass\n'
        "assert not {'torch', 'mmagic', 'mmengine'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '--from-file' in done.stdout
