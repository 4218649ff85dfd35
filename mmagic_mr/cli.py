"""What the command-line tools share. Imports nothing heavy, so that --help is quick."""

import argparse
import contextlib
import difflib
import linecache
import os
import sys
from pathlib import Path


def config_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the arguments of every tool that starts from a config."""
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        'config', help='config file: a path, or a name in the folder configs/'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, e.g. train_cfg.max_iters=100 '
        'custom_hooks.0.max_iters=50 "key=[a,b]"',
    )
    return parser


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


def find_config(name: str, folder: Path) -> Path:
    """The config file of this path, or of this name in ``folder``.

    Raises:
        FileNotFoundError: there is none; names the close ones.
    """
    for path in (Path(name), folder / name, folder / f'{name}.py'):
        if path.is_file():
            return path
    known = sorted(path.stem for path in folder.glob('*.py'))
    close = difflib.get_close_matches(Path(name).stem, known, n=3, cutoff=0.5)
    hint = f'; did you mean {", ".join(close)}?' if close else ''
    raise FileNotFoundError(f'no config {name}, here or in {folder}{hint}')


def read_config(args: argparse.Namespace, folder: Path):
    """Reads ``args.config`` with ``args.cfg_options``, then imports its modules.

    Modules come last, since that takes many seconds and a wrong argument should not.
    """
    from mmengine.config import Config

    path = find_config(args.config, folder)
    cfg = Config.fromfile(path, import_custom_modules=False)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    if 'launcher' in args:
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
        cfg.launcher = args.launcher
        if args.work_dir or cfg.get('work_dir') is None:
            cfg.work_dir = args.work_dir or str(Path('work_dirs', path.stem))
    return cfg


def prepare_run(cfg):
    """Imports the config's ``custom_imports`` (for ours, all of MMagic: seconds).

    Returns:
        mmengine's class Runner.
    """
    import torch
    from mmengine.runner import Runner
    from mmengine.utils import import_modules_from_strings

    import_modules_from_strings(**cfg.get('custom_imports', {'imports': None}))
    if cfg.launcher == 'pytorch' and not torch.cuda.is_available():
        # mmengine takes a GPU for granted, but leaves a group alone that is there
        torch.distributed.init_process_group('gloo')
        cfg.merge_from_dict({'model_wrapper_cfg.device_ids': None})
    return Runner


def _deliberate(error: BaseException) -> bool:
    """Whether a ``raise`` of this project, not a slip below it, made the error."""
    traceback = error.__traceback__
    if traceback is None:
        return False
    while traceback.tb_next:
        traceback = traceback.tb_next
    frame = traceback.tb_frame
    package = frame.f_globals.get('__name__', '').split('.')[0]
    line = linecache.getline(frame.f_code.co_filename, traceback.tb_lineno)
    return package in ('mmagic_mr', '__main__') and line.lstrip().startswith('raise')


def _deliberate_in_worker(text: str) -> str | None:
    """The message of such an error in a data loader's worker: torch gives its text."""
    lines = text.strip().splitlines()
    frames = [i for i, line in enumerate(lines) if line.startswith('  File "')]
    if not frames or 'in DataLoader worker process' not in lines[0]:
        return None
    place, statement = lines[frames[-1] : frames[-1] + 2]
    if 'mmagic_mr' not in place or not statement.lstrip().startswith('raise'):
        return None
    return lines[-1].partition(': ')[2]


@contextlib.contextmanager
def short_errors():
    """Turns errors that this project raises on purpose into one line, exit status 1.

    Those name the mistake and the remedy, and a traceback would bury them. All other
    errors keep theirs.
    """
    try:
        yield
    except (ValueError, OSError, RuntimeError, KeyError, TypeError) as error:
        cause = error
        while cause is not None and not _deliberate(cause):
            cause = cause.__context__
        if cause is not None:
            sys.exit(f'error: {cause.args[0] if len(cause.args) == 1 else cause}')
        message = _deliberate_in_worker(str(error))
        if message is None:
            raise
        sys.exit(f'error: {message}')
