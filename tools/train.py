"""Trains a model from a config file.

python tools/train.py configs/pix2pix_proxy_mr2_cityscapes.py
"""

from pathlib import Path

from mmagic_mr import cli, training
from mmagic_mr.errors import UserError

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'


def parse_args():
    parser = cli.config_parser('Train a model')
    cli.add_runner_options(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint, or from the latest one in the work dir',
    )
    parser.add_argument(
        '--amp', action='store_true', help='automatic mixed precision (GPU only)'
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
    if args.resume:
        training.resume_from(cfg, args.resume)
    if args.amp:
        training.enable_amp(cfg)
    if args.predictor_only:
        training.stop_after_predictor(cfg)

    import torch

    if args.amp and not torch.cuda.is_available():
        raise UserError('--amp: mixed precision needs a GPU, and none was found')
    runner = cli.prepare_run(cfg).from_cfg(cfg)
    runner.train()
    runner.logger.info(f'Checkpoints and logs: {runner.work_dir}')


if __name__ == '__main__':
    with cli.short_errors():
        main()
