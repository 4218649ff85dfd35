"""Trains a GAN + L1 and a GAN + proxy MR2 where the right answer is known.

python tools/demo.py
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
from mmagic_mr.demo.scenes import read_labels, truth_of_pair, write_pairs

ROOT = Path(__file__).resolve().parent.parent
METHODS = {
    'GAN + L1': 'pix2pix_noise_demo',
    'GAN + proxy MR2': 'pix2pix_proxy_mr2_demo',
}
NUM_SAMPLES = 16
COLUMNS = {
    'std_ratio': 'sample std / true std',
    'mean_error': 'error of sample mean [std]',
    'modes': 'modes covered',
    'off_mode': 'distance to a mode [std]',
    'pred_mean_error': 'error of predicted mean [std]',
    'pred_var_error': 'error of predicted variance',
}
# What a full run must reach: (least, most) by method and column.
EXPECTED = {
    'GAN + L1': dict(std_ratio=(0, 0.15), modes=(0, 0.4)),
    'GAN + proxy MR2': dict(
        std_ratio=(0.6, 1.4),
        modes=(0.9, 1),
        pred_mean_error=(0, 0.15),
        pred_var_error=(0, 0.2),
    ),
}
PROTOCOL = f"""\
64 validation scenes, {NUM_SAMPLES} samples each, against the true mean mu, variance s^2
and four modes. Sample std / true std: root of the mean sample variance over the mean
s^2. Errors of means: root mean square of (mean - mu) / s over pixels and channels.
Modes covered: a sample counts for its nearest mode (root mean square over the picture)
if it is nearer than half the distance from that mode to the next; a mode is covered if
a sample counts for it. Distance to a mode: of a sample from its nearest one. Error of
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
    parser.add_argument('--out', default='work_dirs/demo', metavar='DIR')
    parser.add_argument('--data', default='data/demo', metavar='DIR')
    return parser.parse_args()


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
    threads = max(1, len(os.sched_getaffinity(0)) // len(METHODS))
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
    parallel = len(os.sched_getaffinity(0)) > 1
    waiting, running = list(METHODS), {}
    last = None
    try:
        while waiting or running:
            while waiting and (parallel or not running):
                name = waiting.pop(0)
                running[name] = start_training(METHODS[name], args)
            time.sleep(2)
            lines = [f'{name}: {progress(METHODS[name], args)}' for name in running]
            if lines != last:
                print(f'[{time.strftime("%H:%M:%S")}] ' + ' | '.join(lines), flush=True)
                last = lines
            for name, process in list(running.items()):
                if process.poll() is None:
                    continue
                del running[name]
                if process.returncode:
                    output = Path(args.out, METHODS[name], 'output.txt')
                    tail = '\n'.join(output.read_text().splitlines()[-15:])
                    raise RuntimeError(
                        f'the training of {name} failed; the end of {output}:\n{tail}'
                    )
    finally:
        for process in running.values():
            process.terminate()


def draw_samples(config, files, args):
    """Data samples of the trained model for the validation files."""
    from mmengine.config import Config

    from mmagic_mr.inference import load_model, sample_image

    cfg = Config.fromfile(ROOT / 'configs' / f'{config}.py')
    folder = Path(args.out, config)
    checkpoint = folder / Path((folder / 'last_checkpoint').read_text().strip()).name
    model = load_model(cfg, str(checkpoint))
    return [sample_image(model, str(f), NUM_SAMPLES, args.seed, pair=True)
            for f in files]


def score_outputs(outputs, truths):
    """The columns of the table for one method."""
    from mmagic_mr.demo.score import score

    def arrays(field):
        if field not in outputs[0]:
            return None
        return [output.get(field).double().numpy() for output in outputs]

    return score(arrays('samples'), truths, arrays('pred_mean'), arrays('pred_var'))


def score_ideal(files, truths):
    """The same for photos drawn from the true distribution."""
    import numpy as np
    from PIL import Image

    from mmagic_mr.demo.score import ideal_samples, score

    samples = []
    for index, file in enumerate(files):
        pair = np.asarray(Image.open(file).convert('RGB'))
        labels = read_labels(pair[:, pair.shape[1] // 2:])
        samples.append(ideal_samples(labels, NUM_SAMPLES, [7, index]))
    return score(samples, truths)


def as_markdown(table):
    """The table, with the bounds that a full run must keep."""
    def cell(name, column):
        value = table[name].get(column)
        if value is None:
            return ''
        bounds = EXPECTED.get(name, {}).get(column)
        if bounds is None:
            return f'{value:.2f}'
        return f'{value:.2f} ({bounds[0]:g} to {bounds[1]:g})'

    rows = [['', *COLUMNS.values()], ['---'] * (len(COLUMNS) + 1)]
    rows += [[name, *(cell(name, column) for column in COLUMNS)] for name in table]
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def missed(table):
    """One line for each number outside its bounds."""
    return [
        f'{name}: {COLUMNS[column]} is {table[name][column]:.3f}, '
        f'expected {low:g} to {high:g}'
        for name, bounds in EXPECTED.items()
        for column, (low, high) in bounds.items()
        if not low <= table[name][column] <= high
    ]


def main():
    args = parse_args()
    start = time.time()
    write_pairs(args.data)
    print(f'scenes: {args.data}; work folders: {args.out}', flush=True)
    train(args)

    # MMagic's dependencies warn a lot when they are imported, here in this process.
    warnings.filterwarnings('ignore')
    from mmagic_mr.collage import collage, save_picture

    files = sorted(Path(args.data, 'val').glob('*.png'))
    truths = [truth_of_pair(file) for file in files]
    outputs = {name: draw_samples(config, files, args)
               for name, config in METHODS.items()}
    table = {'perfect sampler': score_ideal(files, truths)}
    table |= {name: score_outputs(out, truths) for name, out in outputs.items()}
    out = Path(args.out)
    save_picture(
        collage({name: samples[:4] for name, samples in outputs.items()}),
        out / 'demo.png',
    )
    minutes = (time.time() - start) / 60
    text = (f'{as_markdown(table)}\n\nIn brackets: what a full run must reach.\n'
            f'{PROTOCOL}Seed {args.seed}, {minutes:.1f} minutes.\n')
    (out / 'demo.md').write_text(text)
    (out / 'demo.json').write_text(json.dumps(
        dict(seed=args.seed, minutes=round(minutes, 2), short=args.short, table=table),
        indent=1))
    print(f'\n{text}\nPicture: {out / "demo.png"}')
    if args.short:
        print('--short: only the machinery was tried')
    elif missed(table):
        sys.exit('\n'.join(missed(table)))


if __name__ == '__main__':
    with cli.short_errors():
        main()
