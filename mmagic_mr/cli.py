"""What the command-line tools share. Imports nothing heavy, so that --help is quick."""

import argparse
import contextlib
import difflib
import errno
import importlib.util
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mmagic_mr import overrides
from mmagic_mr.allocator import keep_freed_memory
from mmagic_mr.errors import MissingFileError, UserError


def config_parser(description: str, **config) -> argparse.ArgumentParser:
    """A parser with the arguments of every tool that starts from a config."""
    with _alone('yapf'):
        # mmengine imports yapf, which writes a cache in the user's home when it is
        # first imported: of processes that start together, some would read half of it
        from mmengine.config import DictAction

    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        'config',
        help='config file: a path, or a name in the folder configs/, or that of one '
        'of MMagic, mmagic::FOLDER/FILE.py',
        **config,
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=overrides.action(DictAction._parse_iterable),
        metavar='KEY=VALUE',
        help='override settings of the config, e.g. train_cfg.max_iters=100 '
        'custom_hooks.0.max_iters=50 "key=[a,b]"',
    )
    return parser


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """One process of this user at a time; without POSIX's locks, nothing happens."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    file = Path(tempfile.gettempdir(), f'mmagic_mr-{os.getuid()}-{name}.lock')
    with open(file, 'a') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def add_runner_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of tools that build a Runner."""
    parser.add_argument(
        '--work-dir', help='folder for logs and results (work_dirs/<config name>)'
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    # torch.distributed.launch passes one or the other
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS
    )


AMP = 'auto', 'bf16', 'fp16'


def add_amp_option(parser: argparse.ArgumentParser, **option) -> None:
    """Adds ``--amp``, whose value may be left out.

    The config, after it, would be taken for that value: the error says so.
    """

    def name(value: str) -> str:
        if value in AMP:
            return value
        raise argparse.ArgumentTypeError(
            f'{value!r} is none of {", ".join(AMP)}; if it is the config, put it first '
            f'({parser.prog} {value} --amp) or write --amp=auto'
        )

    metavar = '{' + ','.join(AMP) + '}'
    parser.add_argument(
        '--amp', nargs='?', const='auto', type=name, metavar=metavar, **option
    )


def find_config(name: str, folder: Path) -> Path:
    """The config file of this path, or of this name in ``folder``.

    Args:
        name: Of the file; ``mmagic::edsr/...`` is one that MMagic brings.
        folder: Of the configs.

    Raises:
        MissingFileError: there is none; names the close ones.
    """
    paths = [Path(name), folder / name, folder / f'{name}.py']
    package, separator, inside = name.partition('::')
    if separator and package.isidentifier():
        spec = importlib.util.find_spec(package)
        for root in (spec and spec.submodule_search_locations) or ():
            paths.append(Path(root, '.mim', 'configs', inside))
    for path in paths:
        if path.is_file():
            return path
    known = sorted(path.stem for path in folder.glob('*.py'))
    close = difflib.get_close_matches(Path(name).stem, known, n=3, cutoff=0.5)
    hint = f'; did you mean {", ".join(close)}?' if close else ''
    raise MissingFileError(f'no config {name}, here or in {folder}{hint}')


def merge_options(cfg, options: dict) -> None:
    """Overrides settings of a config.

    Raises:
        UserError: an override does not fit the config.
    """
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError) as error:
        raise UserError(
            f'--cfg-options does not fit {cfg.filename}: {error.args[0]}'
        ) from error


def load_config(args: argparse.Namespace, folder: Path):
    """Reads ``args.config`` with ``args.cfg_options``; its modules are not imported.

    Raises:
        MissingFileError: there is no such config.
        UserError: an override does not fit the config, or nothing would read it.
    """
    from mmengine.config import Config

    from mmagic_mr import own_pictures

    path = find_config(args.config, folder)
    cfg = Config.fromfile(path, import_custom_modules=False)
    options, old_root = args.cfg_options or {}, cfg.get('data_root')
    overrides.check_names(cfg, options)
    merge_options(cfg, options)
    own_pictures.check_options(cfg, options, old_root)
    return cfg


def read_config(args: argparse.Namespace, folder: Path):
    """The config of a run: that of `load_config`, and what follows from its folder.

    Raises:
        MissingFileError: as `load_config`, or no folder of one's own pictures.
        UserError: as `load_config`, or a folder that does not fit.
    """
    from mmagic_mr import own_pictures

    cfg = load_config(args, folder)
    own_pictures.fill(cfg)
    # Whatever follows from these may be overridden
    rest = {
        k: v for k, v in (args.cfg_options or {}).items() if k not in own_pictures.KEYS
    }
    merge_options(cfg, rest)
    if 'launcher' in args:
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
        cfg.launcher = args.launcher
        if args.work_dir or cfg.get('work_dir') is None:
            cfg.work_dir = args.work_dir or str(
                Path('work_dirs', Path(cfg.filename).stem)
            )
    return cfg


def prepare_run(cfg):
    """Imports the config's ``custom_imports`` (for ours, all of MMagic: seconds).

    Without a GPU, memory that tensors give back is kept for those to come.

    Returns:
        mmengine's class Runner, which keeps its long dumps for the log file.
    """
    import torch
    from mmengine.utils import import_modules_from_strings

    import_modules_from_strings(**cfg.get('custom_imports', {'imports': None}))
    if not torch.cuda.is_available():
        keep_freed_memory()
    from mmagic_mr.console import QuietRunner  # after ours, which mends what it imports

    if cfg.launcher == 'pytorch' and not torch.cuda.is_available():
        # mmengine takes a GPU for granted, but leaves a group alone that is there
        torch.distributed.init_process_group('gloo')
        cfg.merge_from_dict({'model_wrapper_cfg.device_ids': None})
    return QuietRunner


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that led to it, as a traceback would show them."""
    while error is not None:
        yield error
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)


def _message(error: UserError) -> str:
    """What the error says, without the traceback that a data loader's worker adds.

    A worker's error is made anew in the main process, of the same type, with the
    traceback as its text; the last line that names the type begins the message.
    """
    text = str(error)
    if not text.startswith('Caught '):
        return text
    name = re.compile(rf'^(?:\w+\.)*{type(error).__name__}: ', re.MULTILINE)
    found = list(name.finditer(text))
    return text[found[-1].end() :].strip() if found else text


def _one_line(error: BaseException) -> str | None:
    """What to print of an error in place of its traceback; None: keep the traceback."""
    for link in _chain(error):
        if isinstance(link, UserError):
            return _message(link)
    # A folder without permission, a full disk: nothing that a traceback would explain.
    if isinstance(error, OSError):
        if error.filename is not None:
            return f'{error.filename}: {error.strerror}'
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return error.strerror
    return None


@contextlib.contextmanager
def short_errors() -> Iterator[None]:
    """Turns a user's mistakes into one line on stderr, without a traceback.

    Those are a :class:`UserError` (also one that led to another error, or was raised in
    a data loader's worker), and an OSError that names a file or says that the disk is
    full: exit status 1. Ctrl-C prints "stopped": status 130, as in a shell. All other
    errors are faults of the program, and keep their traceback.
    """
    # On a full disk each line of the log would print a traceback of its own
    logging.raiseExceptions = False
    try:
        yield
    except KeyboardInterrupt:
        print('stopped', file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        message = _one_line(error)
        if message is None:
            raise
        sys.exit(f'error: {message}')
