"""Evaluates a checkpoint with the metrics of a config's test_evaluator.

python tools/test.py configs/pix2pix_proxy_mr2_cityscapes.py CHECKPOINT
"""

from pathlib import Path

from mmagic_mr import cli

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'


def parse_args():
    parser = cli.config_parser('Evaluate a checkpoint')
    parser.add_argument('checkpoint')
    cli.add_runner_options(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    cfg = cli.read_config(args, CONFIGS)
    if not Path(args.checkpoint).is_file():
        raise FileNotFoundError(f'no checkpoint {args.checkpoint}')

    cli.import_modules(cfg)
    from mmengine.runner import Runner

    from mmagic_mr.inference import load_weights

    runner = Runner.from_cfg(cfg)
    load_weights(runner.model, args.checkpoint)
    runner.test()


if __name__ == '__main__':
    with cli.short_errors():
        main()
