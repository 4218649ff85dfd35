"""What the options of tools/train.py change in a config."""

from pathlib import Path

from mmagic_mr.errors import MissingFileError, UserError


def resume_from(cfg, checkpoint: str) -> None:
    """Make the run go on from a checkpoint.

    Args:
        cfg: mmengine's Config of the run.
        checkpoint: file name, or 'auto' for the latest one in the work dir.

    Raises:
        MissingFileError: there is no such file.
    """
    cfg.resume = True
    if checkpoint != 'auto':
        if not Path(checkpoint).is_file():
            raise MissingFileError(f'--resume: no checkpoint {checkpoint}')
        cfg.load_from = checkpoint


def enable_amp(cfg) -> None:
    """Mixed precision for every optimizer: G, D, and P, which a hook trains.

    Args:
        cfg: mmengine's Config of the run.

    Example:
        >>> from mmengine.config import Config
        >>> cfg = Config(dict(optim_wrapper=dict(optimizer=dict(type='Adam'))))
        >>> enable_amp(cfg)
        >>> cfg.optim_wrapper.type
        'AmpOptimWrapper'
    """
    wrappers = [cfg.optim_wrapper, *cfg.optim_wrapper.values()]
    wrappers += [hook.get('optim_wrapper') for hook in cfg.get('custom_hooks', [])]
    for wrapper in wrappers:
        if isinstance(wrapper, dict) and 'optimizer' in wrapper:
            wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')


def stop_after_predictor(cfg) -> None:
    """End the run when the predictor is trained.

    Args:
        cfg: mmengine's Config of the run.

    Raises:
        UserError: the config trains no predictor.
    """
    hooks = [
        hook
        for hook in cfg.get('custom_hooks', [])
        if hook['type'] == 'PredictorPretrainHook'
    ]
    if not hooks:
        raise UserError(
            f'--predictor-only: {cfg.filename} has no PredictorPretrainHook (none of '
            'its losses uses a predictor)'
        )
    hooks[0].predictor_only = True
