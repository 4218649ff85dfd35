"""Make a study folder: balanced, shuffled trials from folders of images."""

import random
import secrets
import shutil
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

from mmagic_mr import __version__
from mmagic_mr.data.pictures import open_picture, read_rgb, save_png
from mmagic_mr.errors import UserError
from mmagic_mr.io import is_image
from mmagic_mr.study.store import Store

CONSENT = """\
You will see images one at a time, each for {exposure:g} s. Some are real, the others \
were made by a computer program. After each one, say whether it was real or fake. \
There are {practice} practice images, where you are told the answer, and then \
{trials} more.

Images appear and vanish abruptly. Please do not take part if flashing images are a \
problem for you.

We store your answers, how long each took, and how long your screen really showed the \
image. We store no name, no network address and no cookie.

Taking part is voluntary. You can stop at any time by closing this page, and go on \
later with the same link."""


def make_study(
    folder: Path,
    real: Path,
    methods: Mapping[str, Path],
    per_method: int = 20,
    practice: int = 6,
    exposure: float = 0.5,
    participants: int = 10,
    seed: int = 0,
    fixation: float = 0.5,
    display: int | None = None,
    title: str = 'Real or fake?',
    consent: str | None = None,
) -> list[str]:
    """Make a study in a new folder; returns warnings about the images.

    Each participant sees, for each method, ``per_method`` fakes and as many real
    images, all in one random order. The images are drawn anew for each participant.
    The practice images are the same for all, and are not used again.

    Args:
        real, methods: Folders of images: the real ones, and one per method.
        practice: Practice trials; half of them show fakes, of the methods in turn.
        exposure, fixation: How long the image, and the cross before it, is shown, in
            seconds. The paper: 0.5 s for Pix2Pix, 1 s for SRGAN and GLCIC.
        seed: Of the choice and the order of the images (not of tokens and ids).
        display: Width of the images on the page in CSS pixels. Default: their own
            width, but at least 256.
        consent: Text shown first.

    Raises:
        UserError: For a setting out of range, too few images in a folder, one folder
            for both kinds, an image that cannot be read or has transparent pixels; the
            study folder exists.
    """
    _check_folders(real, methods)
    _check(per_method, practice, exposure, participants, fixation)
    if Path(folder).exists():
        raise UserError(f'{folder} exists; give the study a new folder')
    sessions = _draw(real, methods, per_method, practice, participants, seed)
    used = sorted({image for s in sessions for part in s for _, _, image in part})
    sizes, warnings = _inspect(used, Path(real), methods)
    width = max(w for w, _ in sizes)
    if consent is None:
        consent = CONSENT.format(
            exposure=exposure, practice=practice, trials=2 * per_method * len(methods)
        )
    settings = dict(
        title=title,
        consent=consent,
        exposure=exposure,
        fixation=fixation,
        size=[width, max(h for _, h in sizes)],
        display=display or max(width, 256),
        methods=list(methods),
        per_method=per_method,
        seed=seed,
        made_at=datetime.now(timezone.utc).isoformat(timespec='seconds'),
        version=__version__,
    )
    try:
        with closing(Store.create(folder, settings)) as store:
            files = {path: _copy(path, store.images) for path in used}
            _insert(store, files, sessions)
    except BaseException:
        # Half a study would look like a whole one
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return warnings


def _check_folders(real: Path, methods: Mapping[str, Path]) -> None:
    if not methods:
        raise UserError('no method given; name at least one folder of fakes')
    kinds = {}
    for name, folder in {'the real images': real, **methods}.items():
        other = kinds.setdefault(Path(folder).resolve(), name)
        if other != name:
            raise UserError(
                f'{folder} is the folder of {other} and of {name}: give each its own'
            )


def _check(per_method, practice, exposure, participants, fixation) -> None:
    for name, value, low, high in (
        ('per_method', per_method, 1, 10_000),
        ('practice', practice, 0, 100),
        ('participants', participants, 1, 10_000),
        ('exposure', exposure, 0.01, 60),
        ('fixation', fixation, 0.1, 10),
    ):
        if not low <= value <= high:
            raise UserError(f'{name} is {value}; it must be from {low} to {high}')


def _draw(real, methods, per_method, practice, participants, seed) -> list[tuple]:
    """For each participant the practice and the main trials: (method, truth, image)."""
    rng = random.Random(seed)
    names = list(methods)
    practice_fakes = [names[i % len(names)] for i in range(practice // 2)]
    practice_reals = [names[i % len(names)] for i in range(practice - practice // 2)]
    reals = _images(real, per_method * len(names) + len(practice_reals))
    fakes = {
        name: _images(methods[name], per_method + practice_fakes.count(name))
        for name in names
    }
    for pool in (reals, *fakes.values()):
        rng.shuffle(pool)
    # Popped, so that no main trial shows them again.
    first = [(name, 'fake', fakes[name].pop()) for name in practice_fakes]
    first += [(name, 'real', reals.pop()) for name in practice_reals]

    sessions = []
    for _ in range(participants):
        own_reals = iter(rng.sample(reals, per_method * len(names)))
        main = []
        for name in names:
            for image in rng.sample(fakes[name], per_method):
                main += [(name, 'fake', image), (name, 'real', next(own_reals))]
        sessions.append((rng.sample(first, len(first)), rng.sample(main, len(main))))
    return sessions


def _images(folder: Path, needed: int) -> list[Path]:
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f'{folder} is not a folder')
    found = sorted(p for p in folder.iterdir() if is_image(p))
    if len(found) < needed:
        raise UserError(
            f'{folder} holds {len(found)} images, {needed} are needed; '
            'add images or lower --per-method'
        )
    return found


def _inspect(used: list[Path], real: Path, methods: Mapping[str, Path]):
    """All sizes, and a warning for each thing that could give the answer away."""
    kinds = {real: 'real', **{Path(path): name for name, path in methods.items()}}
    sizes, formats = ({kind: set() for kind in kinds.values()} for _ in range(2))
    for path in used:
        kind = kinds[path.parent]
        with open_picture(path) as image:
            sizes[kind].add(image.size)
            formats[kind].add(image.format)
    warnings = []
    if len(set.union(*sizes.values())) > 1:
        found = '; '.join(
            f'{kind}: ' + ', '.join(f'{w}x{h}' for w, h in sorted(of_kind))
            for kind, of_kind in sizes.items()
        )
        warnings.append(
            f'image sizes differ ({found}) and give the answer away; '
            'bring all images to one size first'
        )
    if len({frozenset(of_kind) for of_kind in formats.values()}) > 1:
        found = '; '.join(
            f'{kind}: ' + ', '.join(sorted(of_kind))
            for kind, of_kind in formats.items()
        )
        warnings.append(
            f'file formats differ ({found}); compression artifacts of one kind '
            'may give the answer away'
        )
    return set.union(*sizes.values()), warnings


def _copy(source: Path, folder: Path) -> str:
    """Re-encode without metadata, so that the bytes say nothing but the pixels."""
    from PIL import Image

    name = secrets.token_urlsafe(16) + '.png'
    pixels = read_rgb(source)
    clean = Image.new('RGB', pixels.size)  # convert() keeps profiles and tags
    clean.paste(pixels)
    save_png(clean, folder / name)
    return name


def _insert(store: Store, files: dict[Path, str], sessions: list) -> None:
    with store.transaction() as db:
        image_ids = {}
        for source, name in files.items():
            image_ids[source] = db.execute(
                'INSERT INTO images (file, source) VALUES (?, ?)', (name, str(source))
            ).lastrowid
        for practice, main in sessions:
            participant = db.execute(
                'INSERT INTO participants (token) VALUES (?)',
                (secrets.token_urlsafe(24),),
            ).lastrowid
            trials = [(1, *t) for t in practice] + [(0, *t) for t in main]
            db.executemany(
                'INSERT INTO trials '
                '(id, participant, position, practice, method, truth, image) '
                'VALUES (?, ?, ?, ?, ?, ?, ?)',
                [
                    (
                        secrets.token_urlsafe(16),
                        participant,
                        position,
                        is_practice,
                        method,
                        truth,
                        image_ids[source],
                    )
                    for position, (is_practice, method, truth, source) in enumerate(
                        trials
                    )
                ],
            )
