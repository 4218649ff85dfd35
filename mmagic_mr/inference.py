"""Draws samples from a trained model, without a Runner."""

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from mmagic_mr.checkpoints.files import check_fits, plain_names, read, state_dict_of
from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.io import is_image


def find_images(paths: Iterable[str]) -> list[Path]:
    """The image files among ``paths``, and those in the folders among them, sorted.

    Raises:
        MissingFileError: a path does not exist, or a folder has no image.
    """
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = [p for p in path.rglob('*') if is_image(p)]
            if not inside:
                raise MissingFileError(f'no image in the folder {path}')
            found += sorted(inside)
        elif path.is_file():
            found.append(path)
        else:
            raise MissingFileError(f'no image or folder {path}')
    return found


def load_weights(model: nn.Module, checkpoint: str) -> None:
    """Loads a checkpoint whose names and shapes are exactly the model's.

    The model may be wrapped for distributed runs, as a whole or part by part. One with
    ``noise_init='zero'`` also takes a checkpoint of MMagic's own class, which has no
    noise weights: its samples are then that class's answer, K times.

    Raises:
        MissingFileError: there is no such file.
        UserError: it is no checkpoint, holds more than tensors and plain data, or
            belongs to another architecture, or to another distribution of moments.
    """
    from mmengine.model import is_model_wrapper
    from mmengine.runner.checkpoint import get_state_dict, load_state_dict

    from mmagic_mr.checkpoints.resuming import check_moments

    content = read(checkpoint)
    own = get_state_dict(model)
    stored = plain_names(state_dict_of(content, checkpoint), own)
    bare = model.module if is_model_wrapper(model) else model
    if getattr(bare, 'noise_init', None) == 'zero':
        stored = _with_zero_noise(stored, own)
    check_fits(stored, own, checkpoint)
    check_moments(content, bare, checkpoint)
    load_state_dict(model, stored, strict=True)


def _with_zero_noise(stored: dict, own: dict) -> dict:
    """Parameters of MMagic's own class, with what ours has beside them as it starts."""
    names = [name for name in own if name.endswith('.noise.conv.weight')]
    if any(name in stored for name in names):
        return stored
    losses = {name: own[name] for name in own if name.startswith('sample_losses.')}
    return {**losses, **stored, **{name: torch.zeros_like(own[name]) for name in names}}


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


class Input(NamedTuple):
    """An image as the pipeline of validation makes it.

    Attributes:
        data: ``inputs`` and ``data_samples`` of one item of a data set.
        has_target: Whether the ground truth in it is one, or stands in its place.
    """

    data: dict
    has_target: bool


def read_input(
    model: nn.Module,
    path: str | Path,
    pair: bool = False,
    mask: str | Path | None = None,
) -> Input:
    """An image file, preprocessed as in validation.

    What the file holds, the host says: its ``image_input``, one of
    `mmagic_mr.data.image_inputs`.

    Args:
        model: From `load_model`.
        path: The condition; or, with ``pair``, a file of the data set: a pair A|B
            (Pix2Pix), or the image without its hole (inpainting).
        pair: What ``path`` is.
        mask: Inpainting: an image of the same size, black but for the hole.

    Raises:
        UserError: the file is no image, its size does not fit the network, the mask
            is missing, has no hole or another size.
    """
    from mmengine.dataset import Compose

    loaders = model.cfg.test_dataloader
    first = loaders[0] if isinstance(loaders, list | tuple) else loaders
    steps = Compose(first.dataset.pipeline).transforms
    results, steps = model.image_input.fields(model, steps, path, pair, mask)
    try:
        for step in steps:
            results = step(results)
    except UserError as error:
        raise UserError(f'{path}: {error}') from error
    inputs = results['inputs']
    _check_size(
        model, path, inputs[model.input_field] if isinstance(inputs, dict) else inputs
    )
    return Input(results, pair)


def draw(
    model: nn.Module,
    inputs: Sequence[Input],
    num_samples: int,
    seed: int | None = None,
    **source,
) -> list:
    """Draws samples for images of one size.

    Args:
        model: From `load_model`.
        inputs: From `read_input`, with a target all or none.
        num_samples: K.
        seed: The same seed and image give the same samples.
        source: Of the noise otherwise, see `Sampler.sample`.

    Returns:
        A data sample for each as ``test_step`` gives it: ``samples`` (K,C,H,W),
        ``sample_mean``, ``sample_var``, ``pred_mean``, ``pred_var``, in 0..255 and BGR,
        the condition and, where there is one, the ground truth; on the CPU.
    """
    from mmengine.dataset import pseudo_collate

    # The preprocessor of data works in place.
    batch = pseudo_collate([copy.deepcopy(one.data) for one in inputs])
    there = all(model.target_field in sample for sample in batch['data_samples'])
    with _targets(model, there):
        outputs = model.val_step(batch, num_samples, seed, **source)
    for one, output in zip(inputs, outputs, strict=True):
        if not one.has_target and model.target_field in output:
            del output[model.target_field]
    return [output.to('cpu') for output in outputs]


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
        raise UserError(
            f'{path} is {width}x{height}, and the network needs sides that are '
            f'multiples of {multiple}: resize it'
        )


def output_names(paths: Sequence[Path]) -> list[str]:
    """A name for each image: its stem, with the folder's where stems are not unique.

    Raises:
        UserError: two images would still have one name.

    Example:
        >>> output_names([Path('a/x.png'), Path('b/x.png'), Path('a/y.png')])
        ['a_x', 'b_x', 'y']
    """
    stems = Counter(path.stem for path in paths)
    names = [
        path.stem if stems[path.stem] == 1 else f'{path.parent.name}_{path.stem}'
        for path in paths
    ]
    for name, count in Counter(names).items():
        if count > 1:
            raise UserError(
                f'{count} of the images would be written as {name}: give one at a time'
            )
    return names


def mask_of(mask: str | Path | None, path: Path) -> Path | None:
    """The mask of an image: the file, or the one of the image's name in that folder.

    Raises:
        MissingFileError: there is no such file.
    """
    if mask is None:
        return None
    mask = Path(mask)
    mask = mask / f'{path.stem}.png' if mask.is_dir() else mask
    if not mask.is_file():
        raise MissingFileError(f'no mask {mask}')
    return mask
