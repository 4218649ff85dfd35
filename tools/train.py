"""Trains a model from a config file.

python tools/train.py configs/pix2pix_proxy_mr2_cityscapes.py
"""

from pathlib import Path

from mmagic_mr import cli

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


def enable_amp(cfg):
    """Mixed precision for each optimiser: G, D, and P, which the hook trains."""
    wrappers = [cfg.optim_wrapper, *cfg.optim_wrapper.values()]
    wrappers += [hook.get('optim_wrapper') for hook in cfg.get('custom_hooks', [])]
    for wrapper in wrappers:
        if isinstance(wrapper, dict) and 'optimizer' in wrapper:
            wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')


def stop_after_predictor(cfg):
    """Ends the run when the predictor is trained."""
    hooks = [h for h in cfg.custom_hooks if h['type'] == 'PredictorPretrainHook']
    if not hooks:
        raise ValueError(
            f'--predictor-only: {cfg.filename} has no PredictorPretrainHook (its loss '
            'is no proxy one)'
        )
    hooks[0].predictor_only = True


def main():
    args = parse_args()
    cfg = cli.read_config(args, CONFIGS)
    if args.resume:
        cfg.resume = True
        if args.resume != 'auto':
            if not Path(args.resume).is_file():
                raise FileNotFoundError(f'--resume: no checkpoint {args.resume}')
            cfg.load_from = args.resume
    if args.amp:
        enable_amp(cfg)
    if args.predictor_only:
        stop_after_predictor(cfg)

    import torch

    if args.amp and not torch.cuda.is_available():
        raise ValueError('--amp: mixed precision needs a GPU, and none was found')
    runner = cli.prepare_run(cfg).from_cfg(cfg)
    runner.train()
    runner.logger.info(f'Checkpoints and logs: {runner.work_dir}')


if __name__ == '__main__':
    with cli.short_errors():
        main()
