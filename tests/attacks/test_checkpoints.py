"""Checkpoints of strangers: what they hold is read as data, wherever they come from."""

import functools
import http.server
import os
import pickle
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from helpers import ROOT, evil, toy_run
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import _load_checkpoint
from torch import nn

from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.inference import load_weights


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves a folder on this machine: its path, and its URL."""
    for name in 'no_proxy', 'NO_PROXY':
        monkeypatch.setenv(name, '127.0.0.1')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    folder = tmp_path / 'served'
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield folder, f'http://127.0.0.1:{served.server_port}'
        served.shutdown()
        thread.join()


@pytest.mark.parametrize('resume', [False, True])
def test_code_in_a_file_from_the_network_does_not_run(server, tmp_path, resume):
    folder, url = server
    marker = tmp_path / 'ran'
    evil.write_opener(folder / 'evil.pth', marker)
    with pytest.raises(UserError, match=r'evil\.pth.*io\.open.*tensors') as refused:
        toy_run.train(tmp_path / 'run', resume=resume, load_from=f'{url}/evil.pth')
    assert not marker.exists()
    assert 'weights_only' not in str(refused.value)


def test_a_url_in_last_checkpoint_is_not_fetched(server, tmp_path):
    folder, url = server
    marker = tmp_path / 'ran'
    evil.write_opener(folder / 'evil.pth', marker)
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'last_checkpoint').write_text(f'{url}/evil.pth')
    with pytest.raises(UserError, match=r'last_checkpoint names .*evil\.pth.*--resume'):
        toy_run.train(tmp_path / 'run', resume=True)
    assert not marker.exists()
    assert not (tmp_path / 'cache').exists()


def test_a_checkpoint_from_the_network_loads(server, tmp_path):
    folder, url = server
    toy_run.train(tmp_path / 'a')
    shutil.copy(tmp_path / 'a' / 'iter_4.pth', folder / 'good.pth')
    resumed = toy_run.train(
        tmp_path / 'b', max_iters=6, resume=True, load_from=f'{url}/good.pth'
    )
    assert resumed.iter == 6
    with pytest.raises(UserError, match=r'none\.pth.*404'):
        _load_checkpoint(f'{url}/none.pth')


def test_a_loader_of_another_scheme_is_made_safe(tmp_path, monkeypatch):
    marker = tmp_path / 'ran'
    path = evil.write_opener(tmp_path / 'evil.pth', marker)

    def load_from_shelf(filename, map_location=None):
        return torch.load(path, map_location=map_location, weights_only=False)

    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    CheckpointLoader.register_scheme('shelf://', load_from_shelf)
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    with pytest.raises(UserError, match=r'shelf://evil.*io\.open'):
        _load_checkpoint('shelf://evil')
    assert not marker.exists()
    assert os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] == '1'
    assert 'TORCH_FORCE_WEIGHTS_ONLY_LOAD' not in os.environ


def test_a_config_in_a_checkpoint_is_not_run(tmp_path):
    """mmengine executes the text at ``meta.config`` to count GPUs."""
    toy_run.train(tmp_path / 'run')
    path = tmp_path / 'run' / 'iter_4.pth'
    marker = tmp_path / 'ran'
    state = torch.load(path)
    for key in 'config', 'cfg':
        state['meta'][key] = f"import os\nopen({str(marker)!r}, 'w')\ngpu_ids = [0]"
    torch.save(state, path)
    assert toy_run.train(tmp_path / 'run', max_iters=6, resume=True).iter == 6
    assert not marker.exists()


LOADS_EACH = """
import os, sys
from mmagic_mr import compat
import torch
compat.allow_mmengine_checkpoints()
for path in sys.argv[1:]:
    child = os.fork()
    if not child:
        try:
            print(repr(torch.load(path, weights_only=True))[:60])
        except Exception as error:
            os._exit(3)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_no_file_reaches_the_memory(tmp_path):
    paths = [
        evil.write_pickle(tmp_path / f'{i}.pth', evil.program(opcodes))
        for i, opcodes in enumerate(evil.CRASHERS.values())
    ]
    done = subprocess.run(
        [sys.executable, '-c', LOADS_EACH, *map(str, paths)],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=True,
    )
    ends = dict(zip(evil.CRASHERS, done.stdout.split('\n'), strict=False))
    assert ends == dict.fromkeys(evil.CRASHERS, '3')


@pytest.mark.parametrize('multiarray', ['numpy.core', 'numpy._core'])
def test_arrays_of_either_numpy_load(multiarray, tmp_path):
    doubles = evil.array(
        evil.dtype('f8', '<'), evil.raw(16, '\0'), 2, multiarray=multiarray
    )
    path = evil.write_pickle(tmp_path / 'a.pth', evil.program(doubles))
    loaded = torch.load(path)
    assert loaded.dtype == np.float64
    np.testing.assert_array_equal(loaded, [0, 0])


def test_a_log_history_comes_back_as_it_was(tmp_path):
    history = HistoryBuffer([0.5, 1.5], [1, 2])
    saved = {'log': history, 'score': np.float32(0.25), 'flags': np.array([True])}
    torch.save(saved, tmp_path / 'log.pth')
    loaded = torch.load(tmp_path / 'log.pth')
    assert loaded['score'] == np.float32(0.25)
    assert loaded['score'].dtype == np.float32
    assert loaded['flags'].tolist() == [True]
    # It goes on, and is pickled again as mmengine's own, for others to read.
    torch.save(loaded, tmp_path / 'again.pth')
    assert torch.load(tmp_path / 'again.pth')['log'].data[0].tolist() == [0.5, 1.5]
    opcodes = pickle.dumps(loaded, protocol=2)
    assert b'mmagic_mr' not in opcodes
    loaded['log'].update(2.5)
    assert type(loaded['log'].data[0]) is np.ndarray
    assert loaded['log'].mean() == pytest.approx((0.5 + 1.5 + 2.5) / 4)


@pytest.mark.parametrize('content', [b'', b'hello', 'half', [1], {'a': 1}])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content):
    path = tmp_path / 'odd.pth'
    if content == 'half':
        torch.save(nn.Linear(100, 100).state_dict(), path)
        path.write_bytes(path.read_bytes()[:2000])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match=r'odd\.pth') as error:
        load_weights(nn.Linear(1, 1), path)
    assert 'weights_only' not in str(error.value)
    with pytest.raises(MissingFileError, match=r'none\.pth'):
        load_weights(nn.Linear(1, 1), tmp_path / 'none.pth')
