"""Images of any kind as named files, which is what a pipeline of MMagic begins with.

What is in memory goes through a PNG file, without loss: so a picture gives the same
samples wherever it comes from, and no host needs a second way in.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps

from mmagic_mr import inference
from mmagic_mr.errors import UserError

KINDS = (
    'a path, a PIL image, an array (H, W, 3) or (H, W), a tensor (3, H, W), or a list '
    'of these'
)


class File(NamedTuple):
    """An image as a file."""

    name: str  # for what is made of it
    path: Path


def is_many(images: Any) -> bool:
    """Whether this is more than one image: a list, a folder, an array of four axes."""
    if isinstance(images, str | Path):
        return Path(images).is_dir()
    if isinstance(images, np.ndarray | torch.Tensor):
        return images.ndim == 4
    return isinstance(images, list | tuple)


@contextmanager
def image_files(images: Any) -> Iterator[list[File]]:
    """Each image as a file, while the context lasts.

    Args:
        images: One of what `as_picture` takes, a folder, or a list of these.

    Raises:
        UserError: it is no image, or the folder has none; in the context, errors that
            name a file name it without its folder.
    """
    with TemporaryDirectory(prefix='mmagic_mr_') as folder:
        try:
            yield _files(images, Path(folder))
        except UserError as error:
            raise type(error)(str(error).replace(f'{folder}/', '')) from None


@contextmanager
def mask_files(masks: Any, images: list[File]) -> Iterator[list[Path | None]]:
    """The mask of each image as a file, white in the hole.

    Args:
        masks: None; one mask for all images; a list of one for each; or a folder that
            has one of each image's name, as PNG. A mask in memory is a hole where it is
            not 0.
        images: Their files.

    Raises:
        UserError: there are as many masks as images are not.
    """
    if masks is None:
        yield [None] * len(images)
    elif isinstance(masks, str | Path):
        yield [inference.mask_of(masks, image.path) for image in images]
    else:
        holes = list(masks) if is_many(masks) else [masks] * len(images)
        if len(holes) != len(images):
            raise UserError(
                f'{len(holes)} masks for {len(images)} images: give one for each'
            )
        paths = [m if isinstance(m, str | Path) else _hole(m) for m in holes]
        with image_files(paths) as files:
            yield [file.path for file in files]


def as_picture(image: Any) -> Image.Image:
    """An image in memory as 8-bit RGB.

    Args:
        image: PIL image; array (H, W, 3) or (H, W), or tensor (3, H, W), (1, H, W) or
            (H, W), of RGB: whole numbers from 0 to 255, or fractions from 0 to 1.

    Raises:
        UserError: another type, shape or range, or pixels that are transparent.

    Example:
        >>> as_picture(torch.full((3, 4, 6), 0.5)).getpixel((0, 0))
        (128, 128, 128)
        >>> as_picture(np.zeros((4, 6, 5), np.uint8))
        Traceback (most recent call last):
        mmagic_mr.errors.UserError: an image of shape (4, 6, 5): an array is \
(H, W, 3) or (H, W), a tensor (3, H, W)
    """
    if isinstance(image, Image.Image):
        return _opaque(ImageOps.exif_transpose(image))
    if isinstance(image, torch.Tensor):
        values = image.detach().cpu()
        values = values.float() if values.is_floating_point() else values
        pixels, axis = values.numpy(), 0
    elif isinstance(image, np.ndarray):
        pixels, axis = image, -1
    else:
        raise UserError(f'{type(image).__name__} is no image: give {KINDS}')
    if pixels.ndim == 2:
        pixels = np.expand_dims(pixels, axis)
    if pixels.ndim != 3 or pixels.shape[axis] not in (1, 3) or not pixels.size:
        raise UserError(
            f'an image of shape {tuple(image.shape)}: an array is (H, W, 3) or (H, W), '
            'a tensor (3, H, W)'
        )
    pixels = _eight_bits(np.moveaxis(pixels, axis, -1))
    return Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)).copy())


def _files(images: Any, folder: Path) -> list[File]:
    if isinstance(images, str | Path) or not is_many(images):
        images = [images]
    named: list[str | Path] = []
    for number, image in enumerate(images):
        if isinstance(image, str | Path):
            named += inference.find_images([image])
        else:
            named.append(folder / f'image_{number}.png')
            as_picture(image).save(named[-1])
    if not named:
        raise UserError(f'no image: give {KINDS}')
    paths = [Path(path) for path in named]
    return list(map(File, inference.output_names(paths), paths))


def _hole(mask: Any) -> Image.Image:
    if isinstance(mask, Image.Image):
        mask = np.asarray(mask.convert('L'))
    if isinstance(mask, torch.Tensor):
        mask = mask.detach().cpu().numpy()
    if not isinstance(mask, np.ndarray) or np.squeeze(mask).ndim != 2:
        raise UserError(
            f'a mask of {getattr(mask, "shape", type(mask).__name__)}: give a path, a '
            'PIL image, or an array or tensor (H, W), not 0 in the hole'
        )
    return Image.fromarray((np.squeeze(mask) != 0).astype(np.uint8) * 255)


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode in ('I', 'F') or image.mode.startswith('I;'):
        raise UserError(
            f'a PIL image of mode {image.mode}, of unknown range: give 8-bit RGB'
        )
    if {'A', 'a'} & set(image.getbands()) or 'transparency' in image.info:
        rgba = image.convert('RGBA')
        if rgba.getextrema()[3][0] < 255:
            raise UserError(
                'the image has transparent pixels: put it on a background first'
            )
        image = rgba
    return image.convert('RGB')


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * 255
    low, high = pixels.min(), pixels.max()
    fractions = np.issubdtype(pixels.dtype, np.floating)
    most = 1 if fractions else 255
    if not (low >= 0 and high <= most):  # nor with NaN
        raise UserError(
            f'an image of {pixels.dtype} has values from {low} to {high}: it is of '
            'fractions from 0 to 1, or of whole numbers from 0 to 255'
        )
    return np.rint(pixels * 255 if fractions else pixels).astype(np.uint8)
