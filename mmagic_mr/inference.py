"""Draws samples from a trained model, without a Runner."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

IMAGE_SUFFIXES = {'.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.ppm', '.webp'}


def find_images(paths: Iterable[str]) -> list[Path]:
    """The image files among ``paths``, and those in the folders among them, sorted.

    Raises:
        FileNotFoundError: a path does not exist, or a folder has no image.
    """
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = [p for p in path.rglob('*') if p.suffix.lower() in IMAGE_SUFFIXES]
            if not inside:
                raise FileNotFoundError(f'no image in the folder {path}')
            found += sorted(inside)
        elif path.is_file():
            found.append(path)
        else:
            raise FileNotFoundError(f'no image or folder {path}')
    return found


def load_weights(model: nn.Module, checkpoint: str) -> None:
    """Loads a checkpoint whose names and shapes are exactly the model's.

    Only tensors and plain data are unpickled (``weights_only=True``).

    Raises:
        ValueError: the checkpoint belongs to another architecture.
    """
    from . import compat  # noqa: F401  allows what mmengine's checkpoints hold

    try:
        stored = torch.load(checkpoint, map_location='cpu', weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f'no checkpoint {checkpoint}') from None
    except Exception as error:
        raise ValueError(
            f'{checkpoint} is not a readable checkpoint: {error}'
        ) from error
    stored = stored.get('state_dict', stored)
    own = model.state_dict()
    missing = [name for name in own if name not in stored]
    unexpected = [name for name in stored if name not in own]
    reshaped = [
        f'{name} {tuple(stored[name].shape)} instead of {tuple(own[name].shape)}'
        for name in own.keys() & stored.keys()
        if stored[name].shape != own[name].shape
    ]
    if missing or unexpected or reshaped:
        parts = [
            f'{len(names)} {what} ({", ".join(sorted(names)[:3])}'
            f'{", ..." if len(names) > 3 else ""})'
            for what, names in [
                ('missing', missing),
                ('unexpected', unexpected),
                ('of another shape', reshaped),
            ]
            if names
        ]
        raise ValueError(
            f'{checkpoint} is of another architecture than the config: parameters '
            f'{"; ".join(parts)}'
        )
    model.load_state_dict(stored)


def load_model(cfg, checkpoint: str, device: str = 'cpu') -> nn.Module:
    """Builds the model of a config, loads a checkpoint, and puts it in eval mode.

    Args:
        cfg: mmengine's Config; its custom_imports are imported.
        checkpoint: File written by a Runner.
        device: As for torch.

    Returns:
        The model, with the config as its attribute ``cfg``.
    """
    from mmengine.registry import init_default_scope
    from mmengine.utils import import_modules_from_strings

    import_modules_from_strings(**cfg.get('custom_imports', {'imports': None}))
    init_default_scope(cfg.get('default_scope', 'mmagic'))
    from mmagic.registry import MODELS

    model = MODELS.build(cfg.model)
    load_weights(model, checkpoint)
    model.cfg = cfg
    return model.to(device).eval()
