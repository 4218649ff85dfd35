"""Cityscapes: photos and label colors, squeezed to squares, side by side."""

from functools import partial
from pathlib import Path

from mmagic_mr.data.pictures import read_rgb, resize, save_png, side_by_side
from mmagic_mr.data.prepare.command import Command, add_dataset_arguments
from mmagic_mr.data.prepare.files import check_pairs, list_images
from mmagic_mr.data.prepare.manifest import Manifest
from mmagic_mr.data.prepare.parallel import Job, convert
from mmagic_mr.errors import UserError

SPLITS = ('train', 'val')


def prepare_cityscapes(
    src: Path, dst: Path, size: int = 256, workers: int = 1, limit: int | None = None
) -> None:
    """``DST/{train,val}/NAME.png``: photo left (A), label colors right (B).

    Args:
        src: holds ``leftImg8bit`` and ``gtFine`` as unpacked from their archives.
        dst: output folder.
        size: height of the output and width of each half, in pixels.
        workers: number of processes.
        limit: first images of each split only.

    Raises:
        UserError: photos and labels that do not match; an image that cannot be read or
            is smaller than ``size``.
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
        raise UserError(
            f'{job.sources[0]} is {photo.width}x{photo.height}, its label '
            f'{job.sources[1]} is {label.width}x{label.height}'
        )
    if min(photo.size) < size:
        raise UserError(
            f'{job.sources[0]} is {photo.width}x{photo.height}, smaller than the size '
            f'{size} asked for'
        )
    halves = resize(photo, size, size), resize(label, size, size, labels=True)
    save_png(side_by_side(*halves), job.outputs[0])


def _add_arguments(parser):
    add_dataset_arguments(parser, 'folder with leftImg8bit/ and gtFine/', 256)


COMMANDS = [
    Command(
        'cityscapes',
        'photo | label colors, 256x256 each',
        _add_arguments,
        prepare_cityscapes,
    )
]
