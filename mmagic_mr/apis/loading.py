"""A trained model from a run's folder, or from a config and a checkpoint."""

from pathlib import Path

import torch
from torch import nn

from mmagic_mr import inference
from mmagic_mr.errors import MissingFileError, UserError


def load_model(
    source,
    checkpoint: str | Path | None = None,
    device: str | torch.device | None = None,
) -> nn.Module:
    """A trained model, ready for `draw_samples`.

    A config is a program: load those that you trust.

    Args:
        source: The folder of a run (``work_dirs/NAME``), whose config and latest
            checkpoint are taken; or a config: its file, its name in ``configs/``, or
            mmengine's ``Config``.
        checkpoint: File of the weights, or the folder of a run, whose latest one is
            taken. Needed beside a config.
        device: As for torch; None: a GPU if there is one.

    Returns:
        The model in evaluation mode.

    Raises:
        MissingFileError: there is no such folder, config or checkpoint.
        UserError: the checkpoint belongs to another config, the model draws no samples,
            or there is no such device.

    Example:
        >>> load_model('work_dirs/nothing')
        Traceback (most recent call last):
        mmagic_mr.errors.MissingFileError: no run or config work_dirs/nothing
        >>> run = 'work_dirs/demo/pix2pix_recommended_demo'
        >>> model = load_model(run)  # doctest: +SKIP
    """
    from mmengine.config import Config

    chosen = _device(device)
    if not isinstance(source, Config):
        path = Path(source)
        if checkpoint is None and path.is_dir():
            checkpoint = path
        file = config_of_run(path) if path.is_dir() else _config_file(source)
        source = _read(file)
    if checkpoint is None:
        raise UserError(
            f'{source.filename} is a config, and its weights are in a checkpoint: name '
            'the file, or the folder of the run'
        )
    model = inference.load_model(source, _weights(Path(checkpoint)), chosen)
    if not hasattr(model, 'sample_batch'):
        raise UserError(
            f'{type(model).__name__} gives one output for an input: take a class that '
            f'draws samples (MR{type(model).__name__}, if there is one)'
        )
    return model


def config_of_run(folder: str | Path) -> Path:
    """The config that a run wrote into its folder: the newest, where there are more.

    Raises:
        MissingFileError: the folder has none.
    """
    # Each start of mmengine has a folder in it, named by its time.
    dumped = sorted(Path(folder).glob('*/vis_data/config.py'))
    if not dumped:
        raise MissingFileError(
            f'{folder} holds no config: it is no folder of a run; give CONFIG and '
            'CHECKPOINT'
        )
    return dumped[-1]


def config_folder() -> Path:
    """The configs of this package: those of a wheel, or of the repository."""
    package = Path(__file__).resolve().parent.parent
    installed = package / '.mim' / 'configs'
    return installed if installed.is_dir() else package.parent / 'configs'


def _read(file: Path):
    from mmengine.config import Config

    try:
        return Config.fromfile(file, import_custom_modules=False)
    except (AssertionError, SyntaxError, OSError) as error:  # as mmengine says it
        raise UserError(f'{file} is no config of mmengine ({error})') from error


def _config_file(source) -> Path:
    from mmagic_mr.cli import find_config

    try:
        return find_config(str(source), config_folder())
    except MissingFileError as error:
        hint = str(error).partition(';')[2]
        raise MissingFileError(
            f'no run or config {source}{";" if hint else ""}{hint}'
        ) from None


def _weights(checkpoint: Path) -> str:
    from mmagic_mr.checkpoints.latest import find_latest

    if checkpoint.is_dir():
        latest = find_latest(checkpoint)
        if latest is None:
            raise MissingFileError(f'{checkpoint} has no checkpoint yet')
        return latest
    if not checkpoint.is_file():
        raise MissingFileError(f'no checkpoint {checkpoint}')
    return str(checkpoint)


def _device(device) -> torch.device:
    has_gpu = torch.cuda.is_available()
    try:
        chosen = torch.device(device or ('cuda' if has_gpu else 'cpu'))
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f'device {device!r} is not to be had ({reason}): take "cpu", or None for '
            'what is there'
        ) from None
    return chosen
