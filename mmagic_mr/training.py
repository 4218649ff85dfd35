"""What the options of tools/train.py change in a config."""

from pathlib import Path

from mmagic_mr.errors import MissingFileError, UserError

# As `mr_fast` in configs/_base_/mr_settings.py, beside the model's channels_last.
FAST = dict(type='FastOptimWrapper', amp='auto', fused=True)


def resume_from(cfg, checkpoint: str) -> None:
    """Make the run go on from a checkpoint.

    Args:
        cfg: mmengine's Config of the run.
        checkpoint: file name, or 'auto' for the latest one in the work dir; where there
            is none yet, the run starts, from ``load_from`` if the config has that.

    Raises:
        MissingFileError: there is no such file.
    """
    cfg.resume = True
    if checkpoint == 'auto' and cfg.get('load_from'):
        from mmagic_mr.checkpoints.latest import find_latest

        # mmengine would resume from that one, and not from the run's own
        if find_latest(cfg.work_dir) is None:
            cfg.resume = False
        else:
            cfg.load_from = None
    if checkpoint != 'auto':
        if not Path(checkpoint).is_file():
            raise MissingFileError(f'--resume: no checkpoint {checkpoint}')
        cfg.load_from = checkpoint


def enable_amp(cfg, amp: str = 'auto') -> None:
    """Mixed precision for every optimizer: G, D, and P, which a hook trains.

    Args:
        cfg: mmengine's Config of the run.
        amp: 'auto', bfloat16 where the device has it; 'bf16', or an error; 'fp16',
            float16 with scaling of the loss, by mmengine's wrapper, on a GPU alone.

    Raises:
        UserError: 'fp16' without a GPU.

    Example:
        >>> from mmengine.config import Config
        >>> cfg = Config(dict(optim_wrapper=dict(optimizer=dict(type='Adam'))))
        >>> enable_amp(cfg)
        >>> cfg.optim_wrapper.type, cfg.optim_wrapper.amp
        ('FastOptimWrapper', 'auto')
    """
    if amp == 'fp16':
        from mmengine.device import is_cuda_available

        if not is_cuda_available():
            raise UserError(
                '--amp fp16: float16 needs a GPU, and none was found: take --amp, '
                'which is bfloat16, and needs none'
            )
    for wrapper in _wrappers(cfg):
        if amp == 'fp16':
            for key in 'amp', 'fused':
                wrapper.pop(key, None)
            scaled = dict(type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16')
            wrapper.update(scaled)
        else:
            fused = wrapper.get('fused', False)
            wrapper.update(type='FastOptimWrapper', amp=amp, fused=fused)


def enable_fast(cfg) -> None:
    """The switches that are recommended, in any config: see ``mr_fast`` there.

    Example:
        >>> from mmengine.config import Config
        >>> cfg = Config(dict(model={}, optim_wrapper=dict(optimizer={})))
        >>> enable_fast(cfg)
        >>> cfg.model.channels_last, cfg.optim_wrapper.fused
        (True, True)
    """
    cfg.model.channels_last = True
    for wrapper in _wrappers(cfg):
        wrapper.update(FAST)


def _wrappers(cfg) -> list[dict]:
    wrappers = [cfg.optim_wrapper, *cfg.optim_wrapper.values()]
    wrappers += [hook.get('optim_wrapper') for hook in cfg.get('custom_hooks', [])]
    return [w for w in wrappers if isinstance(w, dict) and 'optimizer' in w]


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
