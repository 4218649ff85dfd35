"""The sample losses side by side: their cost, and figures of the documentation.

    python tools/losses.py cost
    python tools/losses.py figures --out docs
    python tools/losses.py method --out docs
    python tools/losses.py ring --out docs

All but the third print Markdown. The cost is that of a forward and backward pass on one
thread, measured in turn with MR2 (MRLoss of order 2).
"""

import argparse
from pathlib import Path

from mmagic_mr import cli


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True)
    cost = commands.add_parser('cost', help='time and memory of every loss')
    cost.add_argument(
        '--shape',
        type=int,
        nargs=5,
        default=[8, 10, 3, 256, 256],
        metavar=tuple('NKCHW'),
    )
    cost.add_argument('--rounds', type=int, default=5)
    cost.add_argument('--device', default='cpu', help='cpu or cuda (cpu)')
    figures = commands.add_parser('figures', help='what losses prefer and see')
    method = commands.add_parser('method', help='the method in three pictures')
    ring = commands.add_parser('ring', help="the paper's figure 4, some minutes")
    for command in figures, method, ring:
        command.add_argument('--out', type=Path, default='docs', help='folder (docs)')
    return parser.parse_args()


def main():
    args = parse_args()
    import torch

    if args.command == 'cost':
        from mmagic_mr.reports.loss_cost import cost_table, loss_costs

        torch.set_num_threads(1)
        costs = loss_costs(args.shape, args.rounds, args.device)
        print(f'{tuple(args.shape)}, {args.device}, torch {torch.__version__}\n')
        print(cost_table(costs))
        return
    if args.command == 'method':
        from mmagic_mr.reports.method_figures import DRAW

        for name, draw in DRAW.items():
            file = args.out / f'method_{name}.png'
            draw(file)
            print(file)
        return
    if args.command == 'ring':
        from mmagic_mr.reports.ring_figure import draw_ring

        torch.set_num_threads(1)
        print(draw_ring(args.out / 'ring.png'))
        return
    from mmagic_mr.networks.backbone import backbone_path
    from mmagic_mr.reports import loss_figures

    preferred, structure = (args.out / f'losses_{n}.png' for n in ('k', 'structure'))
    loss_figures.draw_preferred(preferred)
    found = loss_figures.structure_scores()
    if backbone_path().is_file():
        found['CRPS, features'] = loss_figures.feature_scores()
    else:
        print(
            'without the features of LPIPS: python tools/fetch_backbone.py',
            end=2 * '\n',
        )
    loss_figures.draw_structure(structure, found)
    print(loss_figures.structure_table(found), preferred, structure, sep='\n')


if __name__ == '__main__':
    with cli.short_errors():
        main()
