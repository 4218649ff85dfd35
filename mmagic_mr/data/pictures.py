"""Pictures: read as 8-bit RGB whatever the file holds, resized, joined, written.

Pillow and NumPy are imported where a picture is touched, so that the command-line tools
over this module start at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mmagic_mr.errors import UserError
from mmagic_mr.io import atomic_path

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 100_000_000  # 300 MB as RGB; a few bytes of a file may claim far more
# Pillow has decoders of many more, which strangers' files need not reach
FORMATS = ('PNG', 'JPEG', 'BMP', 'TIFF', 'PPM', 'WEBP')
SIXTEEN_BITS = ('I;16', 'I;16L', 'I;16B', 'I;16N')


@contextmanager
def open_picture(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """The file as Pillow opens it, not yet decoded.

    Raises:
        UserError: naming the file that is missing, truncated, too large or no picture,
            now or when the block decodes it.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise _too_large(path, f'{width}x{height}')
            yield image
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(path, 'far larger') from None
    except Exception as error:  # a broken file raises whatever its decoder likes
        reason = ' '.join(str(error).split())
        raise UserError(
            f'{path} is not a readable image ({reason}): extract or download it again'
        ) from None


def _too_large(path, size):
    return UserError(
        f'{path} is {size}, and no picture here may have more than {MAX_PIXELS:,} '
        'pixels: cut or reduce it first'
    )


def read_rgb(path: str | os.PathLike[str]) -> Image.Image:
    """The whole picture as 8-bit RGB, upright as its camera was held.

    Gray values of 16 bits are scaled: 65535 becomes 255. Opaque alpha is left out.

    Args:
        path: the file.

    Raises:
        UserError: naming a file that is no readable picture, has transparent pixels
            (what is behind them is not known), or numbers whose range is not known.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     gray = np.uint16([[0, 32896, 65535]])
        ...     Image.fromarray(gray).save(f'{folder}/gray.png')
        ...     np.asarray(read_rgb(f'{folder}/gray.png'))[0].tolist()
        [[0, 0, 0], [128, 128, 128], [255, 255, 255]]
    """
    from PIL import ImageOps

    with open_picture(path) as image:
        # Files of these formats have no more than 16 bits, also where Pillow opens them
        # in 32
        sixteen = image.mode in SIXTEEN_BITS or (
            image.mode == 'I' and image.format in ('PNG', 'PPM')
        )
        if image.mode in ('I', 'F') and not sixteen:
            raise UserError(
                f'{path} holds numbers of 32 bits, of unknown range: save it with 8 or '
                '16 bits'
            )
        image = ImageOps.exif_transpose(image)
        if sixteen:
            image = _eight_bits(image)
        if _has_clear_pixels(image):
            raise UserError(
                f'{path} has transparent pixels: put it on a background first'
            )
        return image.convert('RGB')


def _eight_bits(image):
    import numpy as np
    from PIL import Image

    values = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _has_clear_pixels(image):
    bands = image.getbands()
    if 'transparency' not in image.info and not {'A', 'a'} & set(bands):
        return False
    return image.convert('RGBA').getextrema()[3][0] < 255


def resize(
    image: Image.Image, width: int, height: int, labels: bool = False
) -> Image.Image:
    """Bicubic with antialiasing: Pillow widens the kernel by the reduction.

    Args:
        image: the picture.
        width: in pixels.
        height: in pixels.
        labels: its colors stand for classes: take the nearest pixel, mix none.
    """
    from PIL import Image

    kernel = Image.Resampling.NEAREST if labels else Image.Resampling.BICUBIC
    return image.resize((width, height), kernel)


def shrink(image: Image.Image, short_side: int) -> Image.Image:
    """The picture, its shorter side reduced to this; a smaller one stays as it is."""
    factor = short_side / min(image.size)
    if factor >= 1:
        return image
    width, height = (max(short_side, round(factor * v)) for v in image.size)
    return resize(image, width, height)


def to_square(
    image: Image.Image, size: int, squeeze: bool = False, labels: bool = False
) -> Image.Image:
    """A square of the picture.

    Args:
        image: the picture.
        size: side of the square, in pixels.
        squeeze: all of the picture; else the largest square in its middle.
        labels: as for :func:`resize`.
    """
    if not squeeze:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if image.size == (size, size):
        return image
    return resize(image, size, size, labels)


def is_lossy(path: str | os.PathLike[str]) -> bool:
    """Whether the name is that of a file whose format blurs colors."""
    return Path(path).suffix.lower() in ('.jpg', '.jpeg', '.webp')


def side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    """One picture of two of the same height: A|B, as the pix2pix data sets have it."""
    from PIL import Image

    pair = Image.new('RGB', (left.width + right.width, left.height))
    pair.paste(left, (0, 0))
    pair.paste(right, (left.width, 0))
    return pair


def save_png(image: Image.Image, path: Path) -> None:
    """Under its name only once complete, so that a killed run leaves no half file."""
    with atomic_path(path) as unfinished:
        image.save(unfinished, format='PNG')
