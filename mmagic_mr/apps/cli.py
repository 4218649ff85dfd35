"""``python tools/app.py``: the explorer of a run, in a browser."""

import argparse
import os
import tempfile
from pathlib import Path

from mmagic_mr.errors import MissingFileError, UserError

DEMO = 'work_dirs/demo'


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Draw samples of trained models in a browser, on this machine alone'
    )
    parser.add_argument(
        'run',
        nargs='?',
        metavar='RUN_OR_CONFIG',
        help='folder of a run, or of several, side by side; or a config '
        f'(default: {DEMO}, what `make demo` leaves)',
    )
    parser.add_argument(
        'checkpoint', nargs='?', help='of a config; a file, or the folder of a run'
    )
    parser.add_argument(
        '--beside',
        nargs='+',
        default=[],
        metavar='RUN',
        help='folders of further runs, to be seen side by side',
    )
    parser.add_argument('--device', help='cpu, cuda, cuda:1 (default: a GPU if any)')
    parser.add_argument('--port', type=int, default=7860)
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to serve at (default: 127.0.0.1, this machine alone; whoever '
        'reaches another one may use the page: there is no password)',
    )
    return parser.parse_args(argv)


def main(argv=None) -> None:
    args = parse_args(argv)
    if args.run is None and not Path(DEMO).is_dir():
        raise MissingFileError(
            f'there is no {DEMO} yet: `make demo` makes it; or name the folder of a run'
        )
    with tempfile.TemporaryDirectory(prefix='mmagic_mr_app_') as folder:
        os.environ['GRADIO_TEMP_DIR'] = folder  # its own would stay
        serve = _server()
        from mmagic_mr.apps.explorer import open_runs

        explorer = open_runs(
            args.run or DEMO, args.checkpoint, args.beside, args.device
        )
        serve(explorer, folder, args.host, args.port)


def _server():
    try:
        import gradio  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(
            f'the explorer needs {error.name}: pip install -c constraints.txt '
            "'.[app]' (in the folder of the repository)"
        ) from error
    from mmagic_mr.apps.serve import serve

    return serve
