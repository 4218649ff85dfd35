"""A config in one file of its own, to be copied anywhere and changed there."""

from pathlib import Path

from mmagic_mr.errors import UserError
from mmagic_mr.io import atomic_path


def export(cfg, path: Path) -> None:
    """Writes a config and all that it inherits into one file.

    Args:
        cfg: mmengine's Config.
        path: of the new file.

    Raises:
        UserError: it is there already, or does not end with ``.py``; the config holds
            what a file cannot say, so that it would not be the same.
    """
    from mmengine.config import Config

    if path.suffix != '.py':
        raise UserError(f'{path} does not end with .py, as a config has to')
    if path.exists():
        raise UserError(f'{path} is there already: delete it, or take another name')
    text = cfg.pretty_text
    with atomic_path(path) as unfinished:
        source = Path(cfg.filename).name
        head = f'# {source} of mmagic_mr, and all that it inherits, in one file.\n'
        unfinished.write_text(head + text, encoding='utf-8')
        again = Config.fromfile(unfinished, import_custom_modules=False)
        if again.pretty_text != text:
            raise UserError(f'{cfg.filename} cannot be written as one file')
