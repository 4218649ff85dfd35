"""Maps: the pix2pix archive of aerial photos and their maps."""

import gzip
import shutil
import tarfile
import zlib
from functools import partial
from pathlib import Path, PurePosixPath

from mmagic_mr.data.pictures import read_rgb, resize, save_png, side_by_side
from mmagic_mr.data.prepare.command import Command, add_dataset_arguments
from mmagic_mr.data.prepare.files import list_images, write_bytes
from mmagic_mr.data.prepare.manifest import Manifest
from mmagic_mr.data.prepare.parallel import Job, convert
from mmagic_mr.errors import UserError
from mmagic_mr.io import is_image

SPLITS = ('train', 'val')
# Pictures hardly shrink in an archive: what unpacks to far more than its size is a trap
MAX_RATIO, ALLOWANCE = 4, 16 * 2**20
MAX_BYTES = 32 * 2**20  # of a picture; those of the archive have a tenth of one MiB


def prepare_maps(
    src: Path, dst: Path, size: int = 512, workers: int = 1, limit: int | None = None
) -> None:
    """``DST/{train,val}/NAME.png``: aerial photo left (A), map right (B).

    The crop to 256 (random in training, top-left in validation) is the pipeline's.

    Args:
        src: ``maps.tar.gz``, or the folder unpacked from it.
        dst: output folder.
        size: height of the output and width of each half, in pixels.
        workers: number of processes.
        limit: first images of each split only.

    Raises:
        UserError: a broken archive; an image that cannot be read, is no pair of
            squares or is smaller than ``size``.
    """
    unpacked = dst / 'unpacked'
    folder = _unpack(src, unpacked) if src.is_file() else _find_folder(src)
    jobs = {}
    for split in SPLITS:
        images = list_images(folder / split)
        jobs[split] = [
            Job((path,), (dst / split / f'{name}.png',))
            for name, path in list(images.items())[:limit]
        ]
    manifest = Manifest(dst, 'maps', src, {'size': size})
    manifest.start(jobs)
    for split in SPLITS:
        convert(partial(_convert, size), jobs[split], workers, f'maps {split}')
    manifest.finish(jobs, image_size=[2 * size, size])
    shutil.rmtree(unpacked, ignore_errors=True)


def _find_folder(src):
    return src if (src / 'train').is_dir() else src / 'maps'


def _unpack(archive, folder):
    room, unpacked = MAX_RATIO * archive.stat().st_size + ALLOWANCE, 0
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                unpacked += member.size
                if unpacked > room:  # before it is read, or passed over
                    raise UserError(
                        f'{archive} unpacks to more than {MAX_RATIO} times its own '
                        'size, which pictures do not: download the archive again'
                    )
                name = PurePosixPath(member.name)
                # Only the last two parts are used: no path out of the folder
                path = folder / name.parent.name / name.name
                wanted = name.parent.name in SPLITS and is_image(name)
                if not (member.isfile() and wanted) or '..' in name.parts:
                    continue
                if member.size > MAX_BYTES:
                    raise UserError(
                        f'{archive}: {name} has {member.size} bytes, which no picture '
                        'of this data set has: download the archive again'
                    )
                if not path.exists():
                    write_bytes(tar.extractfile(member).read(), path)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f'{archive} is not a complete archive ({reason}): download it again'
        ) from None
    return folder


def _convert(size: int, job: Job) -> None:
    pair = read_rgb(job.sources[0])
    width, height = pair.size
    if width != 2 * height:
        raise UserError(
            f'{job.sources[0]} is {width}x{height}, not two squares side by side'
        )
    if height < size:
        raise UserError(
            f'{job.sources[0]} is {width}x{height}: its halves are smaller than the '
            f'size {size} asked for'
        )
    # Each half by itself, or the kernel would mix both at the seam
    halves = (pair.crop((left, 0, left + height, height)) for left in (0, height))
    resized = (resize(half, size, size) for half in halves)
    save_png(side_by_side(*resized), job.outputs[0])


def _add_arguments(parser):
    add_dataset_arguments(parser, 'maps.tar.gz, or the folder unpacked from it', 512)


COMMANDS = [
    Command('maps', 'aerial photo | map, 512x512 each', _add_arguments, prepare_maps)
]
