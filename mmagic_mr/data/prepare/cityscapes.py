"""Cityscapes: photos and label colours, squeezed to squares, side by side."""

from functools import partial
from pathlib import Path

from PIL import Image

from mmagic_mr.data.prepare.files import PrepareError, check_pairs, list_images, read_rgb, resize, save_png
from mmagic_mr.data.prepare.manifest import Manifest
from mmagic_mr.data.prepare.parallel import Job, convert

SPLITS = ('train', 'val')


def prepare_cityscapes(
    src: Path, dst: Path, size: int = 256, workers: int = 1, limit: int | None = None
) -> None:
    """``DST/{train,val}/NAME.png``: photo left (A), label colours right (B).

    Args:
        src: holds ``leftImg8bit`` and ``gtFine`` as unpacked from their archives.
        dst: output folder.
        size: height of the output and width of each half, in pixels.
        workers: number of processes.
        limit: first images of each split only.

    Raises:
        PrepareError: photos and labels that do not match; an image that cannot be
            read or is smaller than ``size``.
    """
    jobs = {}
    for split in SPLITS:
        photos = list_images(src / 'leftImg8bit' / split, '*/*', '_leftImg8bit')
        labels = list_images(src / 'gtFine' / split, '*/*', '_gtFine_color')
        check_pairs(photos, labels, f'{split} photo', f'{split} label')
        jobs[split] = [
            Job((photos[name], labels[name]), (dst / split / f'{name}.png',))
            for name in list(photos)[:limit]
        ]
    manifest = Manifest(dst, 'cityscapes', src, {'size': size})
    manifest.start(jobs)
    for split in SPLITS:
        convert(partial(_convert, size), jobs[split], workers, f'cityscapes {split}')
    manifest.finish(jobs, image_size=[2 * size, size])


def _convert(size: int, job: Job) -> None:
    photo, label = map(read_rgb, job.sources)
    if photo.size != label.size:
        raise PrepareError(
            f'{job.sources[0]} is {photo.width}x{photo.height}, its label '
            f'{job.sources[1]} is {label.width}x{label.height}'
        )
    if min(photo.size) < size:
        raise PrepareError(
            f'{job.sources[0]} is {photo.width}x{photo.height}, smaller than the size '
            f'{size} asked for'
        )
    pair = Image.new('RGB', (2 * size, size))
    pair.paste(resize(photo, size, size), (0, 0))
    # Colours stand for classes: no mixing
    pair.paste(label.resize((size, size), Image.Resampling.NEAREST), (size, 0))
    save_png(pair, job.outputs[0])
