"""What a training step costs: repeated inputs, the authors' scheme, ours, and switches.

python tools/benchmark.py configs/pix2pix_mr2_cityscapes.py
python tools/benchmark.py configs/srgan_recommended_celeba.py --sizes 64 128 \
    --json speed.json

One update of the generator, and whole iterations (discriminator, generator, optimizers,
preprocessing), from the same weights and noise. Without a switch, the last row has the
recommended ones. All run in turn, so that whatever else the machine does hits all.

python tools/benchmark.py configs/pix2pix_mr2_cityscapes.py --guard --sizes 64

Whole training iterations with and without the DivergenceHook, in turn.

python tools/benchmark.py configs/pix2pix_mr2_cityscapes.py --processes 2

One process against two that share the inputs, or the samples, of the same update: all
of it on this machine, with the same threads in all, and in turn.
"""

import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

from mmagic_mr import cli
from mmagic_mr.io import write_text

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'


def parse_args():
    parser = cli.config_parser('Compare what a training step costs by four schemes')
    parser.add_argument(
        '--inputs',
        type=int,
        default=2,
        metavar='N',
        help="of the generator's update; the batch is as many times as large as the "
        "config's (2)",
    )
    parser.add_argument(
        '--sizes', type=int, nargs='+', metavar='S', help="sides (the paper's)"
    )
    parser.add_argument(
        '--num-samples', type=int, metavar='K', help="samples of an input (config's)"
    )
    cli.add_amp_option(
        parser, help='switches of the last row: as those of tools/train.py'
    )
    parser.add_argument('--channels-last', action='store_true')
    parser.add_argument('--compile', action='store_true')
    parser.add_argument(
        '--keep-memory',
        action='store_true',
        help='freed memory is kept, as it is in tools/train.py on a CPU',
    )
    parser.add_argument(
        '--repeats', type=int, default=5, help='rounds on the clock; 0: counts alone'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the rows here')
    parser.add_argument(
        '--guard', action='store_true', help='what the DivergenceHook costs, instead'
    )
    parser.add_argument(
        '--processes',
        type=int,
        metavar='R',
        help='one process against R, of the same update, instead',
    )
    parser.add_argument('--device', help='cpu, cuda (default: a GPU if any)')
    return parser.parse_args()


def print_guard_cost(pairs):
    plain, guarded = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print('\n| training iteration | median time [ms] | ratio, median of the pairs |')
    print('|---|---|---|')
    print(f'| without guard | {1000 * plain:.1f} | |')
    print(f'| with DivergenceHook | {1000 * guarded:.1f} | {ratio:.4f} |')


def main():
    args = parse_args()
    cfg = cli.read_config(args, CONFIGS)
    from mmengine.utils import import_modules_from_strings

    import_modules_from_strings(**cfg.custom_imports)
    import torch

    from mmagic_mr.benchmark.measure import markdown
    from mmagic_mr.benchmark.processes import measure_processes, processes_markdown
    from mmagic_mr.benchmark.run import guard_cost, hardware, measure
    from mmagic_mr.benchmark.schemes import RECOMMENDED, Switches

    name = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    device = torch.device(name)
    if args.num_samples:
        cfg.model.num_samples = args.num_samples
    sizes = args.sizes or [None]
    if args.guard:
        print_guard_cost(guard_cost(cfg, args.inputs, sizes[0], args.repeats, device))
        return
    switches = Switches(args.amp, args.channels_last, args.compile, args.keep_memory)
    switches = switches or replace(RECOMMENDED, keep_memory=device.type == 'cpu')
    found = dict(
        config=args.config,
        hardware=hardware(device),
        torch=torch.__version__,
        date=time.strftime('%Y-%m-%d'),
        rows=[],
    )
    for size in sizes:
        if args.processes:
            rows = measure_processes(
                cfg, args.inputs, size, args.processes, args.repeats, device.type
            )
            table = processes_markdown(rows)
        else:
            rows = measure(cfg, args.inputs, size, switches, args.repeats, device)
            table = markdown(rows)
        found['rows'] += rows
        print(
            f'\n{args.inputs} inputs of {rows[0]["size"]}x{rows[0]["size"]} in an '
            f'update, K = {rows[0]["num_samples"]}; {found["hardware"]}, torch '
            f'{torch.__version__}, {found["date"]}\n\n{table}'
        )
    if args.json:
        write_text(args.json, json.dumps(found, indent=1))


if __name__ == '__main__':
    with cli.short_errors():
        main()
