"""Evaluates a checkpoint: diversity, calibration, fidelity, reconstruction and more.

    python tools/test.py configs/pix2pix_proxy_mr2_cityscapes.py CHECKPOINT

Prints the headlines, and writes every number with its protocol, network, seeds and
versions to WORK_DIR/test_CHECKPOINT.json, for tools/report.py. The metrics of the
config's test_evaluator count too, and so do your own in a file named in its
custom_imports. LPIPS needs its network once: tools/fetch_backbone.py.
docs/evaluation.md says what each number is.
"""

from pathlib import Path

from mmagic_mr import cli
from mmagic_mr.errors import MissingFileError
from mmagic_mr.metrics.functional.protocols import PROTOCOLS

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'


def parse_args():
    parser = cli.config_parser(
        'Evaluate a checkpoint: diversity, calibration, fidelity, reconstruction'
    )
    parser.add_argument('checkpoint')
    parser.add_argument(
        '--protocol',
        action='append',
        choices=sorted(PROTOCOLS),
        help='of the diversity; may be given more than once (lee2019)',
    )
    parser.add_argument(
        '--hole', action='store_true', help='inpainting: judge the hole alone'
    )
    parser.add_argument(
        '--extractor',
        metavar='FILE',
        help='TorchScript file of the features for FID and its like, e.g. '
        "inception-2015-12-05.pt (AlexNet's, of fetch_backbone.py)",
    )
    parser.add_argument(
        '--stand-in',
        action='store_true',
        help='no network at hand: pixel distance for LPIPS, untrained features for '
        'FID, named as such in the results',
    )
    parser.add_argument(
        '--truth',
        metavar='MODULE:FUNCTION',
        help="true moments and answers for an input's path, where the data set knows "
        'them',
    )
    parser.add_argument('--method', help='name in tables (name of the config)')
    parser.add_argument('--out', type=Path, metavar='FILE', help='the JSON file')
    parser.add_argument(
        '--pictures', type=int, default=4, metavar='N', help='inputs in the collage (4)'
    )
    parser.add_argument(
        '--all',
        action='store_true',
        help='print every number, and how it was made, rather than the headlines',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of pairs, rank ties and bootstrap (0)'
    )
    cli.add_runner_options(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    cfg = cli.read_config(args, CONFIGS)
    if not Path(args.checkpoint).is_file():
        raise MissingFileError(f'no checkpoint {args.checkpoint}')
    # mmengine would load these over the checkpoint
    cfg.load_from, cfg.resume = None, False
    runner_class = cli.prepare_run(cfg)

    from mmagic_mr.inference import load_weights
    from mmagic_mr.metrics.base import EvaluationOptions
    from mmagic_mr.reports.run import add_metrics, run_and_write

    options = EvaluationOptions(
        protocols=tuple(args.protocol or ['lee2019']),
        stand_in=args.stand_in,
        extractor=args.extractor,
        hole=args.hole,
        truth=args.truth,
        seed=args.seed,
    )
    add_metrics(cfg, options)
    runner = runner_class.from_cfg(cfg)
    load_weights(runner.model, args.checkpoint)
    name = Path(args.checkpoint).stem
    out = args.out or Path(cfg.work_dir, f'test_{name}.json')
    method = args.method or Path(cfg.filename).stem
    print(run_and_write(runner, args.checkpoint, method, out, args.pictures, args.all))


if __name__ == '__main__':
    with cli.short_errors():
        main()
