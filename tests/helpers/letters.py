"""A small data set of letters, from fonts that lie in matplotlib's package."""

import shutil
from pathlib import Path

import matplotlib

from mmagic_mr.data.prepare.fonts import prepare_fonts

FONTS = Path(matplotlib.get_data_path(), 'fonts', 'ttf')
PLAIN = 'STIXGeneral'
TRAINING = ['STIXGeneralBol', 'cmb10', 'cmr10', 'cmss10', 'cmtt10']
HELD_OUT = ['DejaVuSans', 'DejaVuSans-Bold', 'DejaVuSerif']  # the fifth family


def copy_fonts(folder: Path, names) -> Path:
    """A folder with these of matplotlib's fonts."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(FONTS / f'{name}.ttf', folder)
    return folder


def write_letters(root: Path) -> Path:
    """The data set, as `tools/prepare_data.py fonts` makes it."""
    fonts = copy_fonts(root / 'fonts', [PLAIN, *TRAINING, *HELD_OUT])
    prepare_fonts(root / 'letters', fonts, PLAIN, workers=0)
    return root / 'letters'
