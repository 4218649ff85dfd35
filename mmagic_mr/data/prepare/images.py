"""One's own pictures, of any sizes: checked, reduced, and split."""

from functools import partial
from pathlib import Path

from mmagic_mr.data.pictures import read_rgb, save_png, shrink
from mmagic_mr.data.prepare.command import Command, add_workers, part_of_one, positive
from mmagic_mr.data.prepare.manifest import Manifest
from mmagic_mr.data.prepare.parallel import Job, convert
from mmagic_mr.data.prepare.selection import SPLITS, Files, Selection, output_name
from mmagic_mr.data.prepare.stats import channel_stats
from mmagic_mr.errors import UserError


def prepare_images(
    src: Path, dst: Path, size: int = 256, val: float = 0.1, workers: int = 1
) -> str:
    """``DST/{train,val}/NAME.png``: pictures whose shorter side is ``size``.

    For super-resolution and inpainting, whose configs cut, reduce and fill as they
    train. They take SRC itself as well; here every picture is read once beforehand, and
    what cannot be used is left out, with the reason.

    Args:
        src: the pictures, in subfolders too.
        dst: output folder.
        size: shorter side, in pixels; what is smaller is left out.
        val: part of the pictures that is kept for validation.
        workers: number of processes.

    Returns:
        What was taken, and what was left out and why.

    Raises:
        UserError: the folder is missing, or fewer than two pictures can be used.
    """
    if dst.resolve().is_relative_to(src.resolve()):
        raise UserError(f'{dst} lies in {src}, whose files are read: move it')
    manifest = Manifest(dst, 'images', src, {'size': size, 'val': val})
    manifest.check_settings()
    selection = Selection()
    found = selection.list_folder(src)
    selection.take({name: (path,) for name, path in found.items()})
    selection.examine(partial(_check, size), workers)
    jobs = {
        split: [
            Job(files, (dst / split / output_name(name),))
            for name, files in items.items()
        ]
        for split, items in selection.split(val).items()
    }
    manifest.start(jobs)
    for split in SPLITS:
        convert(partial(_convert, size), jobs[split], workers, f'images {split}')
    mean, _ = channel_stats([job.outputs[0] for job in jobs['train']], 'all', workers)
    manifest.finish(
        jobs,
        mean_color=[round(255 * value, 2) for value in mean],
        left_out=selection.left_out,
    )
    return selection.report(
        {split: len(jobs[split]) for split in SPLITS}, f'pictures of {size}'
    )


def _check(size: int, files: Files) -> tuple[str, str] | None:
    try:
        image = read_rgb(files[0])
    except UserError as error:
        return 'cannot be read', str(error)
    if min(image.size) < size:
        return f'smaller than {size}', f'{files[0]} ({image.width}x{image.height})'
    return None


def _convert(size: int, job: Job) -> None:
    save_png(shrink(read_rgb(job.sources[0]), size), job.outputs[0])


def _add_arguments(parser):
    parser.add_argument('src', metavar='SRC', type=Path, help='the pictures')
    parser.add_argument('dst', metavar='DST', type=Path, help='output folder')
    parser.add_argument(
        '--size', type=positive, default=256, help='shorter side, in pixels'
    )
    parser.add_argument(
        '--val', type=part_of_one, default=0.1, help='part kept for validation'
    )
    add_workers(parser)


def _run(**options):
    print(prepare_images(**options))


COMMANDS = [
    Command(
        'images',
        'your own pictures, for super-resolution and inpainting',
        _add_arguments,
        _run,
    )
]
