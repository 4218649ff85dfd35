"""What the command-line tools share: errors of one line, configs, training options."""

import argparse
import errno
import importlib.util
import os
import re
import subprocess
import sys

import pytest
from helpers import ROOT
from mmengine.config import Config
from torch.utils.data import DataLoader, Dataset

from mmagic_mr import cli, training
from mmagic_mr.errors import MissingFileError, UserError

CONFIG = ROOT / 'configs' / 'pix2pix_proxy_mr2_cityscapes.py'


def stopped_by(error):
    """What is printed of an error, and the exit status; None: it keeps its traceback.

    Args:
        error: an exception to be raised, or a function that raises one.
    """
    try:
        with cli.short_errors():
            if callable(error):
                error()
            else:
                raise error
    except SystemExit as stop:
        return stop.code
    except Exception:
        return None
    raise AssertionError('nothing was raised')


def test_a_users_mistake_is_one_line():
    assert stopped_by(UserError('K is 0')) == 'error: K is 0'
    assert stopped_by(MissingFileError('no file a')) == 'error: no file a'


@pytest.mark.parametrize(
    'error',
    [ValueError('x'), FileNotFoundError('x'), RuntimeError('x'), KeyError('x')],
)
def test_other_errors_keep_their_traceback(error):
    assert stopped_by(error) is None
    with pytest.raises(type(error)) as kept, cli.short_errors():
        raise error
    assert kept.value is error


def test_the_mistake_is_found_behind_other_errors():
    def caused():
        try:
            raise UserError('K is 0')
        except UserError as error:
            raise RuntimeError('cannot build') from error

    def met_on_the_way():
        try:
            raise UserError('K is 0')
        finally:
            raise RuntimeError('cannot close')

    def hidden():
        try:
            raise UserError('K is 0')
        except UserError:
            raise RuntimeError('something else') from None

    def said_again():
        try:
            raise UserError('K is 0')
        except UserError as error:
            raise UserError(f'a.py: {error}') from error

    assert stopped_by(caused) == 'error: K is 0'
    assert stopped_by(met_on_the_way) == 'error: K is 0'
    assert stopped_by(hidden) is None
    assert stopped_by(said_again) == 'error: a.py: K is 0'


class Broken(Dataset):
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise self.error


@pytest.mark.parametrize(
    ('error', 'printed'),
    [
        (UserError('a.png: not an image'), 'error: a.png: not an image'),
        (MissingFileError('no a.png'), 'error: no a.png'),
        (UserError('two lines:\n  a.png'), 'error: two lines:\n  a.png'),
        (ValueError('a.png: not an image'), None),
    ],
)
def test_a_mistake_in_a_loaders_worker(error, printed):
    loader = DataLoader(Broken(error), num_workers=1)
    assert stopped_by(lambda: list(loader)) == printed


def test_files_without_permission_and_full_disks_are_one_line(tmp_path):
    (tmp_path / 'file').touch()
    mistake = tmp_path / 'file' / 'work_dir'
    printed = stopped_by(mistake.mkdir)
    assert printed == f'error: {mistake}: {os.strerror(errno.ENOTDIR)}'
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert stopped_by(full) == 'error: No space left on device'
    assert stopped_by(OSError(errno.EPIPE, 'Broken pipe')) is None


def test_control_c_leaves_no_traceback(capsys):
    def stop():
        raise KeyboardInterrupt

    assert stopped_by(stop) == 130
    assert capsys.readouterr().err == 'stopped\n'


def test_a_tool_ends_with_the_line_and_status_1():
    done = subprocess.run(
        [sys.executable, 'tools/train.py', 'pix2pix_mr1_map'],
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith('error: no config pix2pix_mr1_map')
    assert 'did you mean pix2pix_mr1_maps' in line


def test_configs_are_found_by_path_and_by_name(tmp_path):
    folder = CONFIG.parent
    for name in str(CONFIG), CONFIG.name, CONFIG.stem:
        assert cli.find_config(name, folder).samefile(CONFIG)
    with pytest.raises(MissingFileError, match='no config nothing, here or in'):
        cli.find_config('nothing', tmp_path)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'custom_hooks.9.interval': 1}, 'Index 9 exceeds the length'),
        ({'train_cfg.max_iters.x': 1}, 'cannot inherit from base'),
    ],
)
def test_an_override_that_does_not_fit_is_named(options, words):
    args = argparse.Namespace(config=str(CONFIG), cfg_options=options)
    with pytest.raises(UserError, match=f'--cfg-options does not fit .*{words}'):
        cli.read_config(args, CONFIG.parent)


@pytest.mark.parametrize('amp', ['auto', 'bf16'])
def test_amp_reaches_every_optimizer(amp):
    cfg = Config.fromfile(CONFIG, import_custom_modules=False)
    before = cfg.optim_wrapper.generators.optimizer.to_dict()
    training.enable_amp(cfg, amp)
    wrappers = [
        cfg.optim_wrapper.generators,
        cfg.optim_wrapper.discriminators,
        cfg.custom_hooks[0].optim_wrapper,
    ]
    for wrapper in wrappers:
        assert wrapper.type == 'FastOptimWrapper'
        assert wrapper.amp == amp
        assert not wrapper.fused
        assert wrapper.optimizer == before
    assert cfg.optim_wrapper.constructor == 'MultiOptimWrapperConstructor'
    flat = Config(dict(optim_wrapper=dict(type='OptimWrapper', optimizer={})))
    training.enable_amp(flat)
    assert flat.optim_wrapper.type == 'FastOptimWrapper'


def test_float16_has_scaling_and_needs_a_gpu(monkeypatch):
    import mmengine.device

    cfg = Config.fromfile(CONFIG, import_custom_modules=False)
    training.enable_fast(cfg)
    with pytest.raises(UserError, match=r'--amp fp16: float16 needs a GPU.*take --amp'):
        training.enable_amp(cfg, 'fp16')
    monkeypatch.setattr(mmengine.device, 'is_cuda_available', lambda: True)
    training.enable_amp(cfg, 'fp16')
    wrapper = cfg.optim_wrapper.generators
    assert (wrapper.type, wrapper.loss_scale) == ('AmpOptimWrapper', 'dynamic')
    assert wrapper.dtype == 'float16'
    assert not {'amp', 'fused'} & wrapper.keys()


def test_the_recommended_switches_are_those_of_the_configs():
    cfg = Config.fromfile(CONFIG, import_custom_modules=False)
    training.enable_fast(cfg)
    recommended = Config.fromfile(
        CONFIG.parent / 'pix2pix_recommended_maps.py', import_custom_modules=False
    )
    assert recommended.model.channels_last
    for name in 'generators', 'discriminators':
        fast, theirs = cfg.optim_wrapper[name], recommended.optim_wrapper[name]
        assert fast == theirs
    assert cfg.model.channels_last
    assert recommended.mr_fast == training.FAST
    assert 'channels_last' not in Config.fromfile(CONFIG).model


def test_resuming_from_the_latest_or_from_a_file(tmp_path):
    cfg = Config(dict(load_from=None))
    training.resume_from(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (True, None)
    (tmp_path / 'iter_2.pth').touch()
    training.resume_from(cfg, str(tmp_path / 'iter_2.pth'))
    assert cfg.load_from == str(tmp_path / 'iter_2.pth')
    with pytest.raises(MissingFileError, match=r'--resume: no checkpoint a\.pth'):
        training.resume_from(cfg, 'a.pth')


def test_stopping_after_the_predictor_needs_one():
    cfg = Config.fromfile(CONFIG, import_custom_modules=False)
    training.stop_after_predictor(cfg)
    (hook,) = (h for h in cfg.custom_hooks if h.type == 'PredictorPretrainHook')
    assert hook.predictor_only
    for without in Config(dict(custom_hooks=[dict(type='CollageHook')])), Config({}):
        with pytest.raises(UserError, match='has no PredictorPretrainHook'):
            training.stop_after_predictor(without)


def parsed_by_train(monkeypatch, *words):
    path = ROOT / 'tools' / 'train.py'
    spec = importlib.util.spec_from_file_location('tools_train', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, 'argv', ['train.py', *words])
    return module.parse_args()


def test_precision_may_be_named_or_not(monkeypatch):
    for words in ['c', '--amp'], ['--amp=auto', 'c'], ['--amp', 'auto', 'c']:
        args = parsed_by_train(monkeypatch, *words)
        assert (args.config, args.amp, args.resume) == ('c', 'auto', None)
    assert parsed_by_train(monkeypatch, 'c', '--amp', 'bf16').amp == 'bf16'
    assert parsed_by_train(monkeypatch, 'c').amp is None
    assert parsed_by_train(monkeypatch, 'c.py', '--resume').resume == 'auto'
    assert parsed_by_train(monkeypatch, '--resume', 'a.pth', 'c.py').resume == 'a.pth'


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--amp', 'pix2pix_demo'], "argument --amp: 'pix2pix_demo' is none of auto"),
        (['--amp', 'c.py', '--fast'], r'\(train.py c.py --amp\)'),
        (['--resume', 'c.py'], r"argument --resume: 'c.py' is a config"),
    ],
)
def test_a_config_after_an_option_is_no_value_of_it(monkeypatch, capsys, words, said):
    with pytest.raises(SystemExit, match='2'):
        parsed_by_train(monkeypatch, *words)
    assert re.search(said, capsys.readouterr().err)


def test_one_process_at_a_time_imports_what_writes_a_cache(tmp_path):
    """Processes that start together would read half of yapf's."""
    fcntl = pytest.importorskip('fcntl')
    code = 'from mmagic_mr import cli; print(0, flush=True); cli.config_parser("")'
    environment = {
        **os.environ,
        'TMPDIR': str(tmp_path),
        'XDG_CACHE_HOME': str(tmp_path),
    }
    lock = tmp_path / f'mmagic_mr-{os.getuid()}-yapf.lock'
    with open(lock, 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [sys.executable, '-c', code], env=environment, stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b'0\n'
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=3)
        assert not list(tmp_path.rglob('*.pickle'))
    assert process.wait(timeout=60) == 0
    assert list(tmp_path.rglob('PatternGrammar*.pickle'))


def test_a_work_dir_that_cannot_be_is_named_with_the_reason(tmp_path):
    training.make_work_dir(Config(dict(work_dir=str(tmp_path / 'new/run'))))
    assert (tmp_path / 'new/run').is_dir()
    (tmp_path / 'file').touch()
    bad = tmp_path / 'file/run'
    words = f'--work-dir {bad}: {os.strerror(errno.ENOTDIR)}: take another folder'
    with pytest.raises(UserError, match=re.escape(words)):
        training.make_work_dir(Config(dict(work_dir=str(bad))))


def test_a_work_dir_that_may_not_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'access', lambda *_: False)  # root may write anywhere
    with pytest.raises(UserError, match=f'{tmp_path}: no permission to write there'):
        training.make_work_dir(Config(dict(work_dir=str(tmp_path))))


def parsed(*words):
    options = cli.config_parser('').parse_args(['x.py', '--cfg-options', *words])
    return options.cfg_options


def test_an_override_keeps_the_spaces_of_a_folder():
    folder = '/home/me/my pictures (2)/new'
    assert parsed(f'data_root={folder}') == {'data_root': folder}
    assert parsed('a=[1, two words, (3, x)]') == {'a': [1, 'two words', (3, 'x')]}
    assert parsed('a=1e-3', 'b=None', 'c=true', 'd="q"') == {
        **dict(a=1e-3, b=None, c=True),
        'd': 'q',
    }


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['data_root=my', 'pictures'], "'pictures' is not KEY=VALUE.*needs quotes"),
        (['a=[1, (2]'], r"'a=\[1, \(2\]': Imbalanced brackets"),
    ],
)
def test_an_override_that_is_none_is_named(words, said, capsys):
    with pytest.raises(SystemExit):
        parsed(*words)
    assert re.search(said, capsys.readouterr().err)


@pytest.mark.parametrize(
    ('key', 'said'),
    [
        ('train_cfg.max_iter', "train_cfg has no 'max_iter'; did you mean max_iters?"),
        ('numsamples', "the config has no 'numsamples'; did you mean num_samples?"),
        ('model.generatr.x', "model has no 'generatr'; did you mean generator?"),
        ('K', "the config has no 'K', and nothing reads it"),
    ],
)
def test_a_setting_that_nothing_reads_is_refused(key, said):
    args = argparse.Namespace(config=str(CONFIG), cfg_options={key: 3})
    with pytest.raises(UserError, match=re.escape(f'--cfg-options: {key}: {said}')):
        cli.read_config(args, CONFIG.parent)


def test_new_settings_are_welcome():
    options = {
        'randomness.seed': 3,
        'load_from': 'a.pth',
        'model.eval_num_samples': 5,
        'train_dataloader.dataset.indices': 3,
        'model.sample_losses.crps2.type': 'CRPSLoss',
    }
    args = argparse.Namespace(config=str(CONFIG), cfg_options=options)
    cfg = cli.read_config(args, CONFIG.parent)
    assert cfg.randomness.seed == 3
    assert cfg.model.eval_num_samples == 5
