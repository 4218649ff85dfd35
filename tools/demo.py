"""Trains a GAN + L1 (L2) and a GAN + proxy MR2 where the right answer is known.

python tools/demo.py [--task sr | --task inpaint]
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

from mmagic_mr import cli
from mmagic_mr.data.synthetic.tasks import TASKS

ROOT = Path(__file__).resolve().parent.parent
NUM_SAMPLES = 16
COLUMNS = {
    'std_ratio': 'sample std / true std',
    'mean_error': 'error of sample mean [std]',
    'modes': 'modes covered',
    'off_mode': 'distance to a mode [std]',
    'pred_mean_error': 'error of predicted mean [std]',
    'pred_var_error': 'error of predicted variance',
}
PROTOCOL = """\
{count} validation {scored}, {num_samples} samples each, against the true mean mu,
variance s^2 and four modes. Sample std / true std: root of the mean sample variance
over the mean s^2. Errors of means: root mean square of {unit} over pixels and
channels. Modes covered: a sample counts for its nearest mode (root mean square) if it
is nearer than half the distance from that mode to the next; a mode is covered if a
sample counts for it. Distance to a mode: of a sample from its nearest one. Error of
the predicted variance: |predicted - s^2| / |s^2|, Euclidean norms.
"""
SHORT = {
    'train_cfg.max_iters': 20,
    'train_cfg.val_interval': 20,
    'custom_hooks.0.max_iters': 20,
    'custom_hooks.0.val_interval': 10,
    'default_hooks.logger.interval': 5,
}


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
    args = parser.parse_args()
    name = 'demo' if args.task == 'pix2pix' else f'demo_{args.task}'
    args.out = args.out or f'work_dirs/{name}'
    args.data = args.data or f'data/{name}'
    return args


def start_training(config, args):
    """Starts tools/train.py in a process of its own; its output goes to a file."""
    folder = Path(args.out, config)
    folder.mkdir(parents=True, exist_ok=True)
    options = {'randomness.seed': args.seed}
    for split in 'train', 'val', 'test':
        options[f'{split}_dataloader.dataset.data_root'] = args.data
    if args.short:
        has_predictor = 'proxy' in config
        options |= {
            key: value
            for key, value in SHORT.items()
            if has_predictor or not key.startswith('custom_hooks')
        }
    command = [
        sys.executable,
        str(ROOT / 'tools' / 'train.py'),
        str(ROOT / 'configs' / f'{config}.py'),
        '--work-dir',
        str(folder),
        '--cfg-options',
        *(f'{key}={value}' for key, value in options.items()),
    ]
    threads = max(1, len(os.sched_getaffinity(0)) // 2)
    with open(folder / 'output.txt', 'w') as output:
        return subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, 'OMP_NUM_THREADS': str(threads)},
        )


def progress(config, args):
    """The last thing that a training's output says of its progress."""
    text = Path(args.out, config, 'output.txt').read_text(errors='replace')
    found = re.findall(
        r'(Iter\(train\) \[ *\d+/\d+\]).*?(eta: [\d:]+)|(predictor \[\d+/\d+\])', text
    )
    return ' '.join(filter(None, found[-1])) if found else 'starting'


def train(args):
    """Trains every method, at once where there are cores, and says how it goes."""
    methods = TASKS[args.task].methods
    parallel = len(os.sched_getaffinity(0)) > 1
    waiting, running = list(methods), {}
    last = None
    try:
        while waiting or running:
            while waiting and (parallel or not running):
                name = waiting.pop(0)
                running[name] = start_training(methods[name], args)
            time.sleep(2)
            lines = [f'{name}: {progress(methods[name], args)}' for name in running]
            if lines != last:
                print(f'[{time.strftime("%H:%M:%S")}] ' + ' | '.join(lines), flush=True)
                last = lines
            for name, process in list(running.items()):
                if process.poll() is None:
                    continue
                del running[name]
                if process.returncode:
                    output = Path(args.out, methods[name], 'output.txt')
                    tail = '\n'.join(output.read_text().splitlines()[-15:])
                    raise RuntimeError(
                        f'the training of {name} failed; the end of {output}:\n{tail}'
                    )
    finally:
        for process in running.values():
            process.terminate()


def draw_samples(config, args):
    """Data samples of the trained model, one for each validation input."""
    from mmengine.config import Config
    from mmengine.dataset import pseudo_collate

    from mmagic_mr.inference import load_model

    cfg = Config.fromfile(ROOT / 'configs' / f'{config}.py')
    folder = Path(args.out, config)
    checkpoint = folder / Path((folder / 'last_checkpoint').read_text().strip()).name
    model = load_model(cfg, str(checkpoint))
    # Without a seed the noise follows from the file name: its own for each input.
    return [
        model.val_step(pseudo_collate([item]), NUM_SAMPLES)[0].to('cpu')
        for item in validation_set(config, args)
    ]


def validation_set(config, args):
    """The validation data set of a config."""
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    from mmagic_mr import plugin  # noqa: F401

    init_default_scope('mmagic')
    from mmagic.registry import DATASETS

    cfg = Config.fromfile(ROOT / 'configs' / f'{config}.py')
    return DATASETS.build({**cfg.val_dataloader.dataset, 'data_root': args.data})


def score_samples(samples, answers, task, predictions=()):
    """The columns of the table.

    Args:
        samples: (K,3,H,W) for each input.
        answers: what is known of each input.
        task: one of TASKS.
        predictions: means (3,H,W), and variances, for each input.
    """
    from mmagic_mr.data.synthetic.score import score

    def parts(pictures):
        return [
            part
            for picture, answer in zip(pictures, answers, strict=True)
            for part in answer.cut(picture)
        ]

    truths = [truth for answer in answers for truth in answer.truths]
    return score(
        parts(samples),
        truths,
        *(parts(pictures) for pictures in predictions),
        per_pixel=task.per_pixel,
    )


def score_outputs(outputs, answers, task):
    """The columns of the table for one method."""

    def arrays(field):
        return [output.get(field).double().numpy() for output in outputs]

    fields = [f for f in ('pred_mean', 'pred_var') if f in outputs[0]]
    samples = arrays('samples')
    result = score_samples(samples, answers, task, map(arrays, fields))
    return result | task.checks(samples, outputs)


def score_ideal(answers, task):
    """The same for pictures drawn from the true distribution."""
    from mmagic_mr.data.synthetic.score import ideal_samples

    samples = [
        ideal_samples(answer.draw, NUM_SAMPLES, [7, index])
        for index, answer in enumerate(answers)
    ]
    return score_samples(samples, answers, task)


def as_markdown(table, task):
    """The table, with the bounds that a full run must keep."""
    columns = COLUMNS | task.check_columns

    def cell(name, column):
        value = table[name].get(column)
        if value is None:
            return ''
        bounds = task.expected.get(name, {}).get(column)
        if bounds is None:
            return f'{value:.2f}'
        return f'{value:.2f} ({bounds[0]:g} to {bounds[1]:g})'

    rows = [['', *columns.values()], ['---'] * (len(columns) + 1)]
    rows += [[name, *(cell(name, column) for column in columns)] for name in table]
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def missed(table, task):
    """One line for each number outside its bounds."""
    return [
        f'{name}: {COLUMNS[column]} is {table[name][column]:.3f}, '
        f'expected {low:g} to {high:g}'
        for name, bounds in task.expected.items()
        for column, (low, high) in bounds.items()
        if not low <= table[name][column] <= high
    ]


def main():
    args = parse_args()
    task = TASKS[args.task]
    start = time.time()
    task.write_data(args.data)
    print(f'data: {args.data}; work folders: {args.out}', flush=True)
    train(args)

    # MMagic's dependencies warn a lot when they are imported, here in this process.
    warnings.filterwarnings('ignore')
    from mmagic_mr.reports.collage import collage, save_picture

    dataset = validation_set(next(iter(task.methods.values())), args)
    answers = [
        task.answer(dataset.get_data_info(index)[task.path_key])
        for index in range(len(dataset))
    ]
    outputs = {
        name: draw_samples(config, args) for name, config in task.methods.items()
    }
    table = {'perfect sampler': score_ideal(answers, task)}
    table |= {name: score_outputs(out, answers, task) for name, out in outputs.items()}
    out = Path(args.out)
    save_picture(
        collage({name: samples[:4] for name, samples in outputs.items()}),
        out / 'demo.png',
    )
    minutes = (time.time() - start) / 60
    protocol = PROTOCOL.format(
        count=len(answers),
        scored=task.scored,
        num_samples=NUM_SAMPLES,
        unit='(mean - mu) / s' if task.per_pixel else '(mean - mu) / root mean s^2',
    )
    text = (
        f'{as_markdown(table, task)}\n\nIn brackets: what a full run must reach.\n'
        f'{protocol}Seed {args.seed}, {minutes:.1f} minutes.\n'
    )
    (out / 'demo.md').write_text(text)
    (out / 'demo.json').write_text(
        json.dumps(
            dict(
                seed=args.seed,
                minutes=round(minutes, 2),
                short=args.short,
                table=table,
            ),
            indent=1,
        )
    )
    print(f'\n{text}\nPicture: {out / "demo.png"}')
    if args.short:
        print('--short: only the machinery was tried')
    elif missed(table, task):
        sys.exit('\n'.join(missed(table, task)))


if __name__ == '__main__':
    with cli.short_errors():
        main()
