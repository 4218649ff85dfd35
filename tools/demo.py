"""Trains a GAN + L1 (L2) and a GAN + proxy MR2 where the right answer is known.

python tools/demo.py [--task sr | --task inpaint]
python tools/demo.py --task sr --judge CONFIG CHECKPOINT RESULT.json
"""

import argparse
import functools
import sys
import warnings
from pathlib import Path

from mmagic_mr import cli
from mmagic_mr.data.synthetic.tasks import TASKS

ROOT = Path(__file__).resolve().parent.parent


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seed', type=int, default=0, help='of the training')
    parser.add_argument(
        '--short',
        action='store_true',
        help='a few iterations: tries the machinery, the numbers mean nothing',
    )
    parser.add_argument('--task', choices=TASKS, default='pix2pix')
    parser.add_argument('--out', metavar='DIR', help='work_dirs/demo[_TASK]')
    parser.add_argument('--data', metavar='DIR', help='data/demo[_TASK]')
    parser.add_argument(
        '--data-only', action='store_true', help='train nothing: write the data set'
    )
    parser.add_argument(
        '--judge',
        nargs=3,
        metavar=('CONFIG', 'CHECKPOINT', 'RESULT'),
        help='train nothing: score this checkpoint, write a JSON file and a picture',
    )
    args = parser.parse_args()
    name = 'demo' if args.task == 'pix2pix' else f'demo_{args.task}'
    args.out = args.out or f'work_dirs/{name}'
    args.data = args.data or f'data/{name}'
    return args


def main():
    args = parse_args()
    # MMagic's dependencies warn a lot when they are imported, here in this process.
    warnings.filterwarnings('ignore')
    task = TASKS[args.task]
    if args.data_only:
        print(task.write_data(args.data))
        return
    if args.judge:
        from mmagic_mr.reports.judge import judge

        for name, value in judge(task, *args.judge).items():
            print(f'{name}: {value:.3f}')
        return
    from mmagic_mr.reports.demo import Demo

    demo = Demo(task, ROOT, args.data, args.out, args.seed, args.short)
    text, missed = demo.run(functools.partial(print, flush=True))
    print(f'\n{text}\nPicture: {Path(args.out, "demo.png")}')
    if args.short:
        print('--short: only the machinery was tried')
    elif missed:
        sys.exit('\n'.join(missed))


if __name__ == '__main__':
    with cli.short_errors():
        main()
