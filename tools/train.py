"""Trains a model from a config file.

python tools/train.py configs/pix2pix_proxy_mr2_cityscapes.py
"""

import argparse
from pathlib import Path

from mmagic_mr import cli, training

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'


def checkpoint_name(value):
    """A word after --resume; the config, after it, would be taken for it."""
    if not value.endswith('.py'):
        return value
    raise argparse.ArgumentTypeError(
        f'{value!r} is a config, and no checkpoint: put it first '
        f'(tools/train.py {value} --resume) or write --resume=auto'
    )


def parse_args():
    parser = cli.config_parser('Train a model')
    cli.add_runner_options(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        type=checkpoint_name,
        metavar='CHECKPOINT',
        help='go on from this checkpoint, or from the latest one in the work dir',
    )
    cli.add_amp_option(
        parser,
        help='mixed precision: bfloat16 where the device has it, a CPU too (auto), '
        'there or an error (bf16), or float16 with scaling of the loss (fp16; a GPU)',
    )
    parser.add_argument(
        '--fast',
        action='store_true',
        help='the recommended switches: --amp --channels-last, and fused optimizers',
    )
    parser.add_argument(
        '--channels-last',
        action='store_true',
        help='images lie in memory with their channels together',
    )
    parser.add_argument(
        '--compile',
        action='store_true',
        help='torch.compile what holds no noise: the discriminator above all',
    )
    parser.add_argument(
        '--distribute',
        choices=['inputs', 'samples'],
        help='what the processes of a distributed run share out: the inputs, each with '
        'all its samples (default), or the K samples of the same inputs',
    )
    parser.add_argument(
        '--predictor-only',
        action='store_true',
        help='train the predictor of a proxy loss, and stop; the checkpoint serves '
        'several runs with --cfg-options custom_hooks.0.checkpoint=PATH',
    )
    return parser.parse_args()


def main():
    args = parse_args()
    cfg = cli.read_config(args, CONFIGS)
    training.make_work_dir(cfg)
    if args.resume:
        training.resume_from(cfg, args.resume)
    if args.fast:
        training.enable_fast(cfg)
    if args.amp:
        training.enable_amp(cfg, args.amp)
    if args.channels_last:
        cfg.model.channels_last = True
    if args.compile:
        cfg.model.compile = True
    if args.distribute == 'samples':
        training.share_out_samples(cfg)
    if args.predictor_only:
        training.stop_after_predictor(cfg)
    training.check_engine(cfg)
    runner = cli.prepare_run(cfg).from_cfg(cfg)

    from mmagic_mr import console

    runner.logger.info(console.summary(runner))
    try:
        runner.train()
    except KeyboardInterrupt:
        runner.logger.info(console.interrupted(runner))
        raise
    runner.logger.info(console.farewell(runner))


if __name__ == '__main__':
    with cli.short_errors():
        main()
