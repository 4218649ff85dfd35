"""CelebA: aligned faces for super-resolution and inpainting."""

from functools import partial
from pathlib import Path

from mmagic_mr.data.pictures import read_rgb, resize, save_png
from mmagic_mr.data.prepare.command import (
    Command,
    add_dataset_arguments,
    count,
    positive,
)
from mmagic_mr.data.prepare.files import check_pairs, list_images, write_json
from mmagic_mr.data.prepare.manifest import Manifest
from mmagic_mr.data.prepare.parallel import Job, convert
from mmagic_mr.data.prepare.stats import channel_stats
from mmagic_mr.errors import MissingFileError, UserError

SPLITS = ('train', 'val', 'test')  # 0, 1, 2 in the partition file


def prepare_celeba_sr(
    src: Path,
    dst: Path,
    size: int = 64,
    scale: int = 4,
    crop: int = 178,
    workers: int = 1,
    limit: int | None = None,
) -> None:
    """``DST/{train,val,test}/{gt,lq}/NAME.png``: square faces, and the same reduced.

    Args:
        src: holds ``img_align_celeba`` and ``list_eval_partition.txt`` (also where the
            official download puts them, below ``Img`` and ``Eval``).
        dst: output folder.
        size: side of gt, in pixels.
        scale: side of gt over side of lq.
        crop: side of the center square cut from the source, in pixels.
        workers: number of processes.
        limit: first images of each split only.

    Raises:
        UserError: the partition file does not match the images; an image that
            cannot be read or is smaller than ``crop``; sizes that do not fit.
    """
    if scale < 1 or size % scale:
        raise UserError(f'size {size} is not a multiple of the scale {scale}')
    _check_crop(size, crop)
    jobs = {
        split: [
            Job((path,), (dst / split / 'gt' / name, dst / split / 'lq' / name))
            for name, path in images
        ]
        for split, images in _images_by_split(src, limit).items()
    }
    settings = {'crop': crop, 'size': size, 'scale': scale}
    manifest = Manifest(dst, 'celeba-sr', src, settings)
    manifest.start(jobs)
    for split in SPLITS:
        convert(
            partial(_convert_sr, crop, size, scale), jobs[split], workers, f'sr {split}'
        )
    manifest.finish(jobs, gt_size=[size, size], lq_size=[size // scale, size // scale])


def prepare_celeba_inpaint(
    src: Path,
    dst: Path,
    size: int = 128,
    crop: int = 178,
    box: int = 64,
    hole: tuple[int, int] = (48, 64),
    seed: int = 0,
    workers: int = 1,
    limit: int | None = None,
) -> tuple[float, ...]:
    """``DST/{train,val,test}/gt/NAME.png``, for val and test also masks and boxes.

    The holes of the training images are drawn anew by the pipeline. Those of val and
    test are fixed by ``seed`` and the image's name: ``DST/{val,test}/masks/NAME.png``
    is 255 in the hole and 0 elsewhere, ``DST/{val,test}/boxes.json`` maps NAME to the
    box around it, [top, left, height, width], for the local discriminator.

    Args:
        src: as for :func:`prepare_celeba_sr`.
        dst: output folder.
        size: side of the images, in pixels.
        crop: side of the center square cut from the source, in pixels.
        box: side of the local box, in pixels.
        hole: shortest and longest side of a hole, in pixels.
        seed: of the fixed holes.
        workers: number of processes.
        limit: first images of each split only.

    Returns:
        Mean color of the training images, RGB, 0..255: what fills a hole.

    Raises:
        UserError: as for :func:`prepare_celeba_sr`.
    """
    from mmagic_mr.data.holes import fixed_hole

    _check_crop(size, crop)
    place = partial(fixed_hole, seed=seed, image_size=size, box_size=box, sides=hole)
    place('any')  # refuses sizes that do not fit before anything is written
    jobs = {}
    for split, images in _images_by_split(src, limit).items():
        folders = ('gt',) if split == 'train' else ('gt', 'masks')
        jobs[split] = [
            Job((path,), tuple(dst / split / folder / name for folder in folders))
            for name, path in images
        ]
    settings = {'crop': crop, 'size': size, 'box': box, 'hole': hole, 'seed': seed}
    manifest = Manifest(dst, 'celeba-inpaint', src, settings)
    manifest.start(jobs)
    for split in SPLITS:
        convert(
            partial(_convert_inpaint, crop, size, place),
            jobs[split],
            workers,
            f'inpaint {split}',
        )
    for split in SPLITS[1:]:
        names = [job.outputs[0].stem for job in jobs[split]]
        write_json({name: place(name)[0] for name in names}, dst / split / 'boxes.json')
    mean, _ = channel_stats([job.outputs[0] for job in jobs['train']], 'all', workers)
    mean_color = tuple(round(255 * value, 2) for value in mean)
    manifest.finish(jobs, image_size=[size, size], mean_color=mean_color)
    return mean_color


def _check_crop(size, crop):
    if size > crop:
        raise UserError(f'size {size} is larger than the center crop {crop}')


def _images_by_split(src, limit):
    """``{split: [(NAME.png, source path), ...]}``."""
    folder = _first_there(src / 'img_align_celeba', src / 'Img' / 'img_align_celeba')
    images = {path.name: path for path in list_images(folder).values()}
    name = 'list_eval_partition.txt'
    split_of = _read_partition(_first_there(src / name, src / 'Eval' / name))
    check_pairs(images, split_of, 'image', f'line of {name}')
    by_split = {split: [] for split in SPLITS}
    for name, path in images.items():
        by_split[split_of[name]].append((f'{path.stem}.png', path))
    for split, found in by_split.items():
        if not found:
            raise UserError(f'the partition file gives no image to {split}')
    return {split: found[:limit] for split, found in by_split.items()}


def _first_there(*paths):
    for path in paths:
        if path.exists():
            return path
    raise MissingFileError(f'{" or ".join(map(str, paths))} is missing')


def _read_partition(path):
    split_of = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or words[1] not in ('0', '1', '2'):
            raise UserError(
                f'{path}, line {number}: "{line}" is not a file name and 0, 1 or 2'
            )
        if words[0] in split_of:
            raise UserError(f'{path}, line {number}: {words[0]} is there twice')
        split_of[words[0]] = SPLITS[int(words[1])]
    return split_of


def _center_square(path, crop, size):
    image = read_rgb(path)
    if min(image.size) < crop:
        raise UserError(
            f'{path} is {image.width}x{image.height}, smaller than the center crop '
            f'{crop}'
        )
    left, top = (image.width - crop) // 2, (image.height - crop) // 2
    return resize(image.crop((left, top, left + crop, top + crop)), size, size)


def _convert_sr(crop: int, size: int, scale: int, job: Job) -> None:
    gt = _center_square(job.sources[0], crop, size)
    save_png(gt, job.outputs[0])
    save_png(resize(gt, size // scale, size // scale), job.outputs[1])


def _convert_inpaint(crop: int, size: int, place, job: Job) -> None:
    save_png(_center_square(job.sources[0], crop, size), job.outputs[0])
    if len(job.outputs) == 2:
        from PIL import Image

        from mmagic_mr.data.holes import hole_mask

        _, hole = place(job.outputs[0].stem)
        mask = Image.fromarray(255 * hole_mask(hole, size, size))
        save_png(mask, job.outputs[1])


def _add_face_arguments(parser, size):
    source = 'folder with img_align_celeba/ and list_eval_partition.txt'
    add_dataset_arguments(parser, source, size)
    parser.add_argument(
        '--crop', type=positive, default=178, help='center square cut first'
    )


def _add_sr_arguments(parser):
    _add_face_arguments(parser, 64)
    parser.add_argument(
        '--scale', type=positive, default=4, help='gt size over lq size'
    )


def _add_inpaint_arguments(parser):
    _add_face_arguments(parser, 128)
    parser.add_argument('--box', type=positive, default=64, help='local box')
    parser.add_argument(
        '--hole',
        type=positive,
        nargs=2,
        default=(48, 64),
        metavar=('MIN', 'MAX'),
        help='sides of a hole',
    )
    parser.add_argument('--seed', type=count, default=0, help='of the fixed holes')


def _run_inpaint(**options):
    print('mean color:', prepare_celeba_inpaint(**options))


COMMANDS = [
    Command(
        'celeba-sr',
        'faces of 64x64 (gt) and 16x16 (lq)',
        _add_sr_arguments,
        prepare_celeba_sr,
    ),
    Command(
        'celeba-inpaint',
        'faces of 128x128, and fixed holes for val and test',
        _add_inpaint_arguments,
        _run_inpaint,
    ),
]
