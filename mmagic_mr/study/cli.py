"""Command line of the realism study."""

import argparse
import ipaddress
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from mmagic_mr import cli
from mmagic_mr.errors import UserError
from mmagic_mr.io import write_text
from mmagic_mr.study.store import Store


def main(argv: list[str] | None = None) -> None:
    args = _parser().parse_args(argv)
    with cli.short_errors():
        try:
            args.run(args)
        except sqlite3.Error as error:
            # A folder that cannot be written, a database that broke meanwhile
            raise UserError(f'{args.study}: {error}') from error
        except OSError as error:
            if error.filename is not None or isinstance(error, UserError):
                raise  # is told as for every tool
            raise UserError(str(error)) from error  # a port in use, a full disk


def _make(args) -> None:
    from mmagic_mr.study.make import make_study

    methods = {}
    for pair in args.method:
        name, separator, folder = pair.partition('=')
        if not (name and separator and folder):
            raise UserError(f'--method {pair}: write it as NAME=FOLDER')
        if name in methods:
            raise UserError(f'--method {name} is given twice')
        methods[name] = Path(folder)
    warnings = make_study(
        args.study,
        args.real,
        methods,
        per_method=args.per_method,
        practice=args.practice,
        exposure=args.exposure,
        participants=args.participants,
        seed=args.seed,
        fixation=args.fixation,
        display=args.display,
        title=args.title,
        consent=args.consent and args.consent.read_text(encoding='utf-8'),
    )
    for warning in warnings:
        print(f'warning: {warning}', file=sys.stderr)
    trials = 2 * args.per_method * len(methods)
    print(
        f'{args.study}: {args.participants} participants, {args.practice} practice '
        f'and {trials} scored images each. Next: tools/study.py serve {args.study}'
    )


def _serve(args) -> None:
    from mmagic_mr.study.server import StudyServer

    with (
        closing(Store(args.study)) as store,
        StudyServer(store, args.host, args.port) as server,
    ):
        port = server.server_address[1]
        if not is_loopback(args.host):
            print(
                f'warning: {args.host} can be reached from other machines, and the '
                'links and answers travel unencrypted; put an HTTPS proxy in front '
                'and name its address by --url',
                file=sys.stderr,
            )
        base = args.url or f'http://{args.host}:{port}'
        for person in store.progress():
            state = (
                'finished'
                if person['done'] == person['trials']
                else f'{person["done"]} of {person["trials"]}'
            )
            link = f'{base.rstrip("/")}/s/{person["token"]}'
            print(f'participant {person["id"]} ({state}): {link}')
        print('Give each participant one link. Stop with Ctrl-C.', flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


def _port(text: str) -> int:
    if not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f'{text} is not from 0 to 65535')
    return int(text)


def _score(args) -> None:
    from mmagic_mr.study.score import score, table, to_json

    with closing(Store(args.study)) as store:
        result = score(
            store,
            partial=args.partial,
            exclude_flagged=args.exclude_flagged,
            resamples=args.resamples,
            seed=args.seed,
        )
    out = args.out or args.study / 'scores.json'
    write_text(out, to_json(result) + '\n')
    print(table(result))
    print(f'Everything: {out}')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='study.py',
        description='Realism study: people see one image at a time and say whether '
        'it is real or fake.',
    )
    commands = parser.add_subparsers(required=True, metavar='make|serve|score')
    defaults = argparse.ArgumentDefaultsHelpFormatter

    make = commands.add_parser(
        'make', help='make a study from result folders', formatter_class=defaults
    )
    make.set_defaults(run=_make)
    make.add_argument('study', type=Path, help='folder to make')
    make.add_argument('--real', type=Path, required=True, help='folder of real images')
    make.add_argument(
        '--method',
        action='append',
        required=True,
        metavar='NAME=FOLDER',
        help="folder of a method's images; may be given several times",
    )
    make.add_argument(
        '--per-method', type=int, default=20, help='fakes (and real images) per method'
    )
    make.add_argument('--practice', type=int, default=6, help='practice images')
    make.add_argument(
        '--exposure',
        type=float,
        default=0.5,
        help='seconds that an image is shown (paper: 0.5 Pix2Pix, 1 SRGAN and GLCIC)',
    )
    make.add_argument(
        '--fixation', type=float, default=0.5, help='seconds of the cross before it'
    )
    make.add_argument('--participants', type=int, default=10, help='links to make')
    make.add_argument(
        '--display', type=int, help='width of the images on the page, in CSS pixels'
    )
    make.add_argument('--title', default='Real or fake?', help='heading of the page')
    make.add_argument('--consent', type=Path, help='text file to show instead of ours')
    make.add_argument('--seed', type=int, default=0, help='of choice and order')

    serve = commands.add_parser(
        'serve', help='serve the page, print the links', formatter_class=defaults
    )
    serve.set_defaults(run=_serve)
    serve.add_argument('study', type=Path, help='folder of the study')
    serve.add_argument('--host', default='127.0.0.1', help='address to listen on')
    serve.add_argument('--port', type=_port, default=8321, help='0: any free port')
    serve.add_argument('--url', help='public address to print in the links')

    score = commands.add_parser(
        'score', help='table and JSON of the scores', formatter_class=defaults
    )
    score.set_defaults(run=_score)
    score.add_argument('study', type=Path, help='folder of the study')
    score.add_argument('--out', type=Path, help='JSON file (in the study folder)')
    score.add_argument(
        '--partial', action='store_true', help='count unfinished participants, too'
    )
    score.add_argument(
        '--exclude-flagged',
        action='store_true',
        help='leave out participants who always gave the same answer',
    )
    score.add_argument('--resamples', type=int, default=10_000, help='of the bootstrap')
    score.add_argument('--seed', type=int, default=0, help='of the bootstrap')
    return parser
