"""What the options of tools/train.py change in a config."""

import os
from pathlib import Path

from mmagic_mr.errors import MissingFileError, UserError

# As `mr_fast` in configs/_base_/mr_settings.py, beside the model's channels_last.
FAST = dict(type='FastOptimWrapper', amp='auto', fused=True)


def make_work_dir(cfg) -> None:
    """See that the run can be kept, before anything is built.

    Args:
        cfg: mmengine's Config of the run.

    Raises:
        UserError: The folder cannot be made, or not be written to.
    """
    try:
        os.makedirs(cfg.work_dir, exist_ok=True)
        if not os.access(cfg.work_dir, os.W_OK):
            raise PermissionError(None, 'no permission to write there')
    except OSError as error:
        raise UserError(
            f'--work-dir {cfg.work_dir}: {error.strerror}: take another folder'
        ) from error


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


def check_engine(cfg) -> None:
    """Refuse an engine of mmengine that would not train the model, before it starts.

    Args:
        cfg: mmengine's Config of the run.

    Raises:
        UserError: A ``strategy``, which the tools' Runner would pass over; a run of
            two networks in a wrapper that asks for one loss.

    Example:
        >>> from mmengine.config import Config
        >>> cfg = dict(launcher='pytorch', optim_wrapper=dict(generator={}))
        >>> check_engine(Config(cfg))
        Traceback (most recent call last):
        mmagic_mr.errors.UserError: model_wrapper_cfg: MMDistributedDataParallel ...
    """
    if cfg.get('strategy') is not None:
        raise UserError(
            f"strategy={cfg.strategy.get('type')!r} is of mmengine's FlexibleRunner, "
            'and the tools start its Runner, which would pass it over: take it out '
            '(docs/scale.md says what was tried, and shares work out in other ways)'
        )
    alone = 'MMDistributedDataParallel'  # mmengine's default
    wrapper = (cfg.get('model_wrapper_cfg') or {}).get('type', alone)
    several = 'optimizer' not in cfg.optim_wrapper
    if cfg.get('launcher', 'none') == 'none' or not several:
        return
    if wrapper != 'MMSeparateDistributedDataParallel':
        raise UserError(
            f'model_wrapper_cfg: {wrapper} asks the model for one loss, and this one '
            'updates two networks in turn, with an optimizer for each: take '
            "dict(type='MMSeparateDistributedDataParallel')"
        )


def share_out_samples(cfg) -> None:
    """Let each process of a distributed run draw some of the K samples.

    For that all of them get the same inputs: the sampler, the seeds of the processes
    and of their loaders' workers are set. The batch size stays, and is that of the run.

    Args:
        cfg: mmengine's Config of the run.

    Raises:
        UserError: The config's loader of training data has a ``batch_sampler``.

    Example:
        >>> from mmengine.config import Config
        >>> cfg = Config(dict(model={}, train_dataloader=dict(sampler={})))
        >>> share_out_samples(cfg)
        >>> cfg.model.distribute, cfg.train_dataloader.sampler.type
        ('samples', 'SameInputsSampler')
    """
    loader = cfg.train_dataloader
    if loader.get('batch_sampler') is not None:
        raise UserError(
            '--distribute samples: train_dataloader has a batch_sampler, and all '
            'processes need the same inputs: take it out, and set batch_size'
        )
    cfg.model.distribute = 'samples'
    cfg.randomness = {**cfg.get('randomness', {}), 'diff_rank_seed': False}
    shuffle = (loader.get('sampler') or {}).get('shuffle', True)
    loader.sampler = dict(type='SameInputsSampler', shuffle=shuffle)
    loader.worker_init_fn = dict(
        type='same_worker_seeds',
        seed=cfg.randomness.get('seed') or 0,
        num_workers=loader.get('num_workers') or 1,
    )


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
