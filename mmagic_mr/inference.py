"""Draws samples from a trained model, without a Runner."""

from collections.abc import Iterable
from contextlib import contextmanager
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

    Only tensors and plain data are unpickled (``weights_only=True``). The model may be
    wrapped for distributed runs, as a whole or part by part.

    Raises:
        ValueError: the checkpoint belongs to another architecture.
    """
    from mmengine.runner.checkpoint import get_state_dict, load_state_dict

    from mmagic_mr import compat

    compat.allow_mmengine_checkpoints()
    try:
        stored = torch.load(checkpoint, map_location='cpu', weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f'no checkpoint {checkpoint}') from None
    except Exception as error:
        raise ValueError(
            f'{checkpoint} is not a readable checkpoint: {error}'
        ) from error
    stored = stored.get('state_dict', stored)
    own = get_state_dict(model)
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
    load_state_dict(model, stored, strict=True)


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
    from mmagic_mr.host import MODELS

    model = MODELS.build(cfg.model)
    load_weights(model, checkpoint)
    model.cfg = cfg
    return model.to(device).eval()


def sample_image(
    model: nn.Module,
    path: str,
    num_samples: int,
    seed: int,
    pair: bool = False,
    mask: str | None = None,
):
    """Draws samples for one image file, preprocessed as in validation.

    Args:
        model: From `load_model`.
        path: The condition; or, with ``pair``, a file of the data set: ground truth
            left, condition right (Pix2Pix), or the image without its hole (inpainting).
        num_samples: K.
        seed: The same seed and image give the same samples.
        pair: What ``path`` is.
        mask: Inpainting: an image of the same size, black but for the hole.

    Returns:
        A data sample as ``test_step`` gives it: ``samples`` (K,C,H,W), ``sample_mean``,
        ``sample_var``, ``pred_mean``, ``pred_var``, in 0..255 and BGR, the condition
        and, with ``pair``, the ground truth.

    Raises:
        ValueError: the file is no image, its size does not fit the network, the mask
            is missing, has no hole or another size.
    """
    from mmengine.dataset import Compose, pseudo_collate

    transforms = Compose(model.cfg.test_dataloader.dataset.pipeline).transforms
    takes_mask = any(type(step).__name__ == 'LoadMask' for step in transforms)
    if takes_mask != (mask is not None):
        raise ValueError(
            f'{path}: inpainting needs a mask, white in the hole (--mask FILE)'
            if takes_mask
            else f'{type(model).__name__} takes no mask'
        )
    if takes_mask:
        _read(mask)
        results = {'gt_path': str(path), 'mask_path': str(mask)}
        _read(path)
    elif model.target_field == 'gt_img':
        if pair:
            raise ValueError('--pair: super-resolution takes the small image alone')
        results = {'img_path': str(path)}
        _read(path)
        transforms = [step for step in transforms if getattr(step, 'key', '') != 'gt']
    else:
        load, *transforms = transforms
        results = _halves(model, path, load, pair)
    for transform in transforms:
        results = transform(results)
    inputs = results['inputs']
    _check_size(
        model, path, inputs[model.input_field] if isinstance(inputs, dict) else inputs
    )
    with _targets(model, model.target_field in results['data_samples']):
        (output,) = model.val_step(pseudo_collate([results]), num_samples, seed)
    if not pair and model.target_field in output:
        del output[model.target_field]
    return output.to('cpu')


def _read(path, **options):
    import mmcv

    image = mmcv.imread(str(path), **options)
    if image is None:
        raise ValueError(f'{path} is not a readable image')
    return image


def _halves(model, path, load, pair):
    """What the loading of a pair gives."""
    image = _read(path, flag=load.color_type, channel_order=load.channel_order)
    if pair and image.shape[1] % 2:
        raise ValueError(
            f'{path} is {image.shape[1]} pixels wide: a pair of two images side by '
            'side has an even width'
        )
    half = image.shape[1] // 2
    # Without a pair the condition also stands in for the ground truth, which the
    # pipeline asks for and sampling does not read
    target, source = (image[:, :half], image[:, half:]) if pair else (image, image)
    return {
        model.target_field: target,
        model.input_field: source,
        'pair_path': str(path),
    }


@contextmanager
def _targets(model, there: bool):
    """The preprocessor warns where a target that it is told of is missing."""
    keys = model.data_preprocessor.data_keys
    if not there:
        model.data_preprocessor.data_keys = None
    try:
        yield
    finally:
        model.data_preprocessor.data_keys = keys


def _check_size(model, path, image):
    multiple = model.size_multiple
    height, width = image.shape[-2:]
    if height % multiple or width % multiple:
        raise ValueError(
            f'{path} is {width}x{height}, and the network needs sides that are '
            f'multiples of {multiple}: resize it'
        )


def to_rgb(images: torch.Tensor):
    """Images (...,C,H,W) in 0..255, BGR, as a uint8 RGB array (...,H,W,C)."""
    rounded = images.round().clamp(0, 255).byte().flip(-3)
    return rounded.movedim(-3, -1).numpy()
