"""One's own pairs of pictures: an input and what it becomes, side by side."""

from functools import partial
from pathlib import Path

from mmagic_mr.data.pictures import (
    is_lossy,
    read_rgb,
    save_png,
    side_by_side,
    to_square,
)
from mmagic_mr.data.prepare.command import Command, add_workers, part_of_one, positive
from mmagic_mr.data.prepare.manifest import Manifest
from mmagic_mr.data.prepare.parallel import Job, convert
from mmagic_mr.data.prepare.selection import SPLITS, Files, Selection, output_name
from mmagic_mr.data.prepare.stats import channel_stats
from mmagic_mr.errors import UserError

# The U-Net halves its input at least five times
MULTIPLE = 32
SHAPES = 0.02  # sides that were rounded differ by less


def prepare_pairs(
    a_dir: Path,
    b_dir: Path,
    dst: Path,
    size: int = 256,
    fit: str = 'crop',
    labels: bool = False,
    val: float = 0.1,
    workers: int = 1,
) -> str:
    """``DST/{train,val}/NAME.png``: input left (A), target right (B), squares.

    Pictures are matched by their names below the two folders, whatever the formats.
    What cannot be used is left out, with the reason, and noted in the manifest.

    Args:
        a_dir: the inputs.
        b_dir: what each of them becomes.
        dst: output folder.
        size: side of each half, in pixels.
        fit: ``'crop'``: the largest square in the middle; ``'squeeze'``: all of it.
        labels: the inputs' colors stand for classes: mix none.
        val: part of the pairs that is kept for validation.
        workers: number of processes.

    Returns:
        What was taken, and what was left out and why.

    Raises:
        UserError: a folder is missing, or fewer than two pairs can be used.
    """
    _check_arguments(a_dir, b_dir, dst, size)
    settings = {'size': size, 'fit': fit, 'labels': labels, 'val': val}
    manifest = Manifest(dst, 'pairs', a_dir, settings)
    manifest.check_settings()
    selection = _matched(a_dir, b_dir)
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
        function = partial(_convert, size, fit == 'squeeze', labels)
        convert(function, jobs[split], workers, f'pairs {split}')
    made = [job.outputs[0] for job in jobs['train']]
    mean, std = channel_stats(made, 'A', workers)
    manifest.finish(
        jobs,
        image_size=[2 * size, size],
        target_source=str(b_dir.resolve()),
        input_norm=_input_norm(mean, std),
        left_out=selection.left_out,
    )
    report = selection.report(
        {split: len(jobs[split]) for split in SPLITS}, f'pairs of {size}x{size}'
    )
    lossy = sum(is_lossy(files[0]) for files in selection.taken.values())
    if labels and lossy:
        report += (
            f'\nwarning: {lossy} inputs are JPEG or WebP, which blur the colors of '
            'labels: take PNG if you have it'
        )
    return report


def _check_arguments(a_dir, b_dir, dst, size):
    if size % MULTIPLE:
        raise UserError(f'--size {size} is not a multiple of {MULTIPLE}')
    if a_dir.resolve() == b_dir.resolve():
        raise UserError(f'{a_dir} was given for both A_DIR and B_DIR')
    for folder in a_dir, b_dir:
        if dst.resolve().is_relative_to(folder.resolve()):
            raise UserError(f'{dst} lies in {folder}, whose files are read: move it')


def _matched(a_dir, b_dir):
    selection = Selection()
    a, b = selection.list_folder(a_dir), selection.list_folder(b_dir)
    for here, there in (a, b), (b, a):
        alone = sorted(here.keys() - there.keys())
        selection.leave_out('without a partner', (str(here[name]) for name in alone))
    selection.take({name: (a[name], b[name]) for name in a.keys() & b.keys()})
    return selection


def _check(size: int, files: Files) -> tuple[str, str] | None:
    try:
        first, second = map(read_rgb, files)
    except UserError as error:
        return 'cannot be read', str(error)
    for path, image in zip(files, (first, second), strict=True):
        if min(image.size) < size:
            return f'smaller than {size}', f'{path} ({image.width}x{image.height})'
    shapes = [image.width / image.height for image in (first, second)]
    if abs(shapes[0] / shapes[1] - 1) > SHAPES:
        words = ', '.join(
            f'{path} ({image.width}x{image.height})'
            for path, image in zip(files, (first, second), strict=True)
        )
        return 'two shapes in one pair', words
    return None


def _input_norm(mean, std):
    """As the model takes it; a channel that never changes is left as it is."""
    spread = [round(value, 4) or 1.0 for value in std]
    return {'mean': [round(value, 4) for value in mean], 'std': spread}


def _convert(size: int, squeeze: bool, labels: bool, job: Job) -> None:
    a, b = map(read_rgb, job.sources)
    halves = to_square(a, size, squeeze, labels), to_square(b, size, squeeze)
    save_png(side_by_side(*halves), job.outputs[0])


def _add_arguments(parser):
    parser.add_argument('a_dir', metavar='A_DIR', type=Path, help='the inputs')
    parser.add_argument('b_dir', metavar='B_DIR', type=Path, help='what they become')
    parser.add_argument('dst', metavar='DST', type=Path, help='output folder')
    parser.add_argument('--size', type=positive, default=256, help='side, in pixels')
    parser.add_argument(
        '--fit',
        choices=['crop', 'squeeze'],
        default='crop',
        help='the square in the middle, or all of it made square',
    )
    parser.add_argument(
        '--labels',
        action='store_true',
        help='colors of the inputs stand for classes: mix none',
    )
    parser.add_argument(
        '--val', type=part_of_one, default=0.1, help='part kept for validation'
    )
    add_workers(parser)


def _run(**options):
    print(prepare_pairs(**options))


COMMANDS = [
    Command(
        'pairs',
        'your own pairs: inputs in A_DIR, targets of the same names in B_DIR',
        _add_arguments,
        _run,
    )
]
