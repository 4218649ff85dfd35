"""Maps: the pix2pix archive of aerial photos and their maps."""

import gzip
import shutil
import tarfile
import zlib
from functools import partial
from pathlib import Path, PurePosixPath

from PIL import Image

from mmagic_mr.data.prepare.files import (
    SUFFIXES,
    PrepareError,
    list_images,
    read_rgb,
    resize,
    save_png,
    write_bytes,
)
from mmagic_mr.data.prepare.manifest import Manifest
from mmagic_mr.data.prepare.parallel import Job, convert

SPLITS = ('train', 'val')


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
        PrepareError: a broken archive; an image that cannot be read, is no pair of
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
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                # Only the last two parts are used: no path out of the folder
                path = folder / name.parent.name / name.name
                wanted = name.parent.name in SPLITS and name.suffix.lower() in SUFFIXES
                if member.isfile() and wanted and not path.exists():
                    write_bytes(tar.extractfile(member).read(), path)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = str(error).splitlines()[0]
        raise PrepareError(
            f'{archive} is not a complete archive ({reason}): download it again'
        ) from None
    return folder


def _convert(size: int, job: Job) -> None:
    pair = read_rgb(job.sources[0])
    width, height = pair.size
    if width != 2 * height:
        raise PrepareError(
            f'{job.sources[0]} is {width}x{height}, not two squares side by side'
        )
    if height < size:
        raise PrepareError(
            f'{job.sources[0]} is {width}x{height}: its halves are smaller than the '
            f'size {size} asked for'
        )
    out = Image.new('RGB', (2 * size, size))
    # Each half by itself, or the kernel would mix both at the seam
    for side in (0, 1):
        half = pair.crop((side * height, 0, (side + 1) * height, height))
        out.paste(resize(half, size, size), (side * size, 0))
    save_png(out, job.outputs[0])
