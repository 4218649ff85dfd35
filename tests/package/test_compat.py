import importlib.util
import os
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
from helpers import ROOT
from helpers.evil import write_opener
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModule
from mmengine.runner import Runner
from mmengine.utils import digit_version
from mmengine.utils.dl_utils import mmcv_full_available
from torch import nn

import mmagic_mr.plugin  # noqa: F401  (under test)
from mmagic_mr import compat
from mmagic_mr.errors import UserError

SAFE_LOADER = digit_version(torch.__version__) >= digit_version('2.6')


def stock_pix2pix(paired_root, work_dir, max_iters, resume=False):
    """MMagic's own Pix2Pix config, only smaller."""
    path = work_dir.parent / 'stock.py'
    path.write_text(
        "_base_ = 'mmagic::pix2pix/pix2pix_vanilla-unet-bn_1xb1-80kiters_facades.py'"
    )
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(
        {
            'model.generator.num_down': 5,
            'model.generator.base_channels': 4,
            'model.discriminator.num_conv': 2,
            'model.discriminator.base_channels': 4,
            'train_dataloader.dataset.data_root': str(paired_root),
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'train_cfg.max_iters': max_iters,
            'default_hooks.checkpoint.interval': 2,
            'default_hooks.checkpoint.save_best': None,
            'default_hooks.logger.interval': 1,
        }
    )
    for transform in cfg.train_dataloader.dataset.pipeline:
        if transform.type == 'Resize':
            transform.scale = (32, 32)
        elif transform.type == 'FixedCrop':
            transform.crop_size = (32, 32)
    # Its metrics and pictures fetch a network and need a longer run.
    cfg.custom_hooks = []
    for mode in ('val', 'test'):
        for part in ('cfg', 'dataloader', 'evaluator'):
            cfg[f'{mode}_{part}'] = None
    cfg.param_scheduler = dict(
        generators=[
            dict(type='LinearLR', by_epoch=False, end=4),
            dict(type='MultiStepLR', by_epoch=False, milestones=[3]),
        ],
        discriminators=dict(type='LinearLR', by_epoch=False, end=8),
    )
    cfg.work_dir = str(work_dir)
    cfg.resume = resume
    cfg.experiment_name = f'stock_{max_iters}'
    return cfg


def test_stock_pix2pix_trains_resumes_and_is_tested(paired_root, tmp_path):
    work_dir = tmp_path / 'work'
    Runner.from_cfg(stock_pix2pix(paired_root, work_dir, 2)).train()
    saved = torch.load(work_dir / 'iter_2.pth', weights_only=SAFE_LOADER)
    assert isinstance(saved['message_hub']['log_scalars']['train/loss'], HistoryBuffer)

    # Of a stock config too, the work dir can be moved.
    assert (work_dir / 'last_checkpoint').read_text() == 'iter_2.pth'

    runner = Runner.from_cfg(stock_pix2pix(paired_root, work_dir, 4, resume=True))
    runner.train()
    assert runner.iter == 4
    # The log, the optimizers and the schedulers went on, rather than starting anew.
    loss = runner.message_hub.get_scalar('train/loss')
    assert len(loss.data[0]) == 4
    assert loss.current() == pytest.approx(loss.data[0][-1])
    optimizer = runner.optim_wrapper['generators'].optimizer
    assert {int(state['step']) for state in optimizer.state.values()} == {4}
    assert runner.param_schedulers['discriminators'][0].last_step == 4

    batch = next(iter(runner.train_dataloader))
    for step in (runner.model.val_step, runner.model.test_step):
        samples = step(batch)
        assert len(samples) == len(batch['data_samples'])
        sample = samples[0]
        assert sample.fake_photo.shape == (3, 32, 32)
        assert sample.fake_photo.min() >= 0
        assert 1 < sample.fake_photo.max() <= 255


def test_checkpoint_with_numpy_scores_loads(tmp_path):
    saved = {
        'best_score': np.float32(0.5),
        'counts': np.arange(3),
        'mask': np.array([True, False]),
    }
    torch.save(saved, tmp_path / 'scores.pth')
    loaded = torch.load(tmp_path / 'scores.pth')
    assert loaded['best_score'] == np.float32(0.5)
    np.testing.assert_array_equal(loaded['counts'], [0, 1, 2])
    np.testing.assert_array_equal(loaded['mask'], [True, False])


class Unlisted:
    pass


class Calls:
    """Pickles as the call of a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.skipif(not SAFE_LOADER, reason='torch has no safe loader by default')
@pytest.mark.parametrize(
    'content',
    [
        Unlisted(),
        Calls(os.getcwd),
        Calls(getattr, HistoryBuffer, '__init__'),
        Calls(getattr, HistoryBuffer, 'register_statistics'),
        Calls(getattr, np.ndarray, 'tofile'),
    ],
    ids=['class', 'function', 'init', 'classmethod', 'numpy'],
)
def test_safe_loader_still_refuses(content, tmp_path):
    torch.save({'meta': content}, tmp_path / 'other.pth')
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'other.pth')


def test_mending_again_changes_nothing():
    def mended():
        from mmengine.runner import CheckpointLoader, runner

        return (
            CheckpointLoader.load_checkpoint.__func__,
            runner.save_checkpoint,
            runner.find_latest_checkpoint,
        )

    before = mended()
    assert {function.__module__ for function in before} == {compat.__name__}
    compat.mend()
    assert mended() == before


def upstream_init():
    """MMagic's own function, from a fresh copy of its file."""
    from mmagic.models.utils import model_utils

    name = 'mmagic.models.utils.fresh_copy'  # its imports are relative
    spec = importlib.util.spec_from_file_location(name, model_utils.__file__)
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    return fresh.generation_init_weights


@pytest.mark.parametrize('init_type', ['normal', 'xavier', 'kaiming', 'orthogonal'])
def test_init_draws_what_upstream_draws(init_type):
    def net():
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Linear(4, 2)
        )

    expected, got = net(), net()
    torch.manual_seed(1)
    upstream_init()(expected, init_type, 0.1)
    torch.manual_seed(1)
    compat._generation_init_weights(got, init_type, 0.1)
    for name, value in expected.state_dict().items():
        assert torch.equal(value, got.state_dict()[name]), name


def test_an_unknown_init_type_is_named():
    with pytest.raises(UserError, match=r"init_type must be normal, .* got 'magic'"):
        compat._generation_init_weights(nn.Conv2d(1, 1, 1), 'magic')


def test_init_records_what_it_initialized():
    class Net(BaseModule):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.ReLU())

        def init_weights(self):
            compat._generation_init_weights(self, 'orthogonal')

    net = Net()
    net._params_init_info = {
        net.layers[0].weight: dict(init_info='', tmp_mean_value=torch.tensor(0.0))
    }
    for module in net.modules():
        module._params_init_info = net._params_init_info
    net.init_weights()
    (info,) = net._params_init_info.values()
    assert info['init_info'] == "Initialize Conv2d by 'init_type' orthogonal."


def test_init_is_mended_wherever_it_is_bound():
    importlib.import_module('mmagic.models.editors.cyclegan.cyclegan_generator')
    bound = {
        name: vars(module)['generation_init_weights']
        for name, module in list(sys.modules.items())
        if name.startswith('mmagic.') and 'generation_init_weights' in vars(module)
    }
    assert 'mmagic.models.editors.pix2pix.pix2pix_generator' in bound
    assert 'mmagic.models.editors.cyclegan.cyclegan_generator' in bound
    assert 'mmagic.models.archs.patch_disc' in bound
    assert set(bound.values()) == {compat._generation_init_weights}


@pytest.mark.skipif(mmcv_full_available(), reason='full mmcv is installed')
def test_stand_in_is_gone_and_its_ops_say_what_to_do():
    assert 'mmcv._ext' not in sys.modules
    from mmcv.ops import bbox_overlaps

    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    with pytest.raises(RuntimeError, match=r'"bbox_overlaps".*install full mmcv'):
        bbox_overlaps(boxes, boxes)


FAKE_EXT = """
import importlib.abc, importlib.machinery, sys, warnings

def any_op(name):
    if name.startswith('__'):
        raise AttributeError(name)
    return print

class Ext(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name == 'mmcv._ext':
            return importlib.machinery.ModuleSpec(name, self)

    def exec_module(self, module):
        {body}

sys.meta_path.insert(0, Ext())
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    import mmagic_mr.plugin
    from mmagic.models import Pix2Pix
said = [str(w.message) for w in caught if 'compiled part of mmcv' in str(w.message)]
from mmcv.ops import bbox
"""


def run_with_ext(body, check):
    env = dict(os.environ, PYTHONPATH=str(ROOT))
    code = FAKE_EXT.format(body=body) + check
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_ext_of_another_torch_warns_with_the_mending_command():
    run_with_ext(
        "raise ImportError('_ext.so: undefined symbol: _ZN3c106detail')",
        """
assert len(said) == 1, said
assert 'undefined symbol: _ZN3c106detail' in said[0], said
assert 'pip install --no-cache-dir --no-build-isolation mmcv==2.1.0' in said[0], said
assert 'mmcv._ext' not in sys.modules
""",
    )


def test_nothing_of_full_mmcv_is_replaced():
    run_with_ext(
        'module.__getattr__ = any_op',
        """
assert not said, said
assert 'mmcv._ext' in sys.modules
assert bbox.ext_module is sys.modules['mmcv._ext']
""",
    )


@pytest.mark.parametrize(('version', 'named'), [('2.2.6', True), ('1.26.4', False)])
def test_numpy_2_gets_the_name_that_mmagic_asks_for(monkeypatch, version, named):
    numpy = types.SimpleNamespace(__version__=version, bool_=np.bool_)
    monkeypatch.setattr(compat, 'np', numpy)
    compat.name_bool8()
    assert (getattr(numpy, 'bool8', None) is np.bool_) == named
    # What asks for it is there, with the numpy of this environment
    importlib.import_module('mmagic.utils.trans_utils')


def test_a_fork_does_not_load_again_unsafely(monkeypatch, tmp_path):
    """onedl-mmengine's loader would; it is not installed here."""
    from mmengine.runner import checkpoint

    monkeypatch.setattr(checkpoint, '_safe_torch_load', None, raising=False)
    compat.load_once()
    path = write_opener(tmp_path / 'evil.pth', tmp_path / 'marker')
    with pytest.raises(pickle.UnpicklingError):
        checkpoint._safe_torch_load(path, weights_only=False)
    assert not (tmp_path / 'marker').exists()
