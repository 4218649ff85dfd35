"""The manifest of a prepared folder, and what it guards against.

A run with other settings would skip the finished files of the first one, and mix both.
So the settings are written before the first image, and compared at every start.
"""

import json
from pathlib import Path

from mmagic_mr import __version__
from mmagic_mr.data.prepare.files import first_few, write_json
from mmagic_mr.data.prepare.parallel import Job
from mmagic_mr.errors import UserError
from mmagic_mr.io import finished_path


class Manifest:
    """``DST/manifest.json``; until the run is complete, ``manifest.partial.json``.

    Args:
        folder: DST, the prepared dataset.
        command: subcommand of ``tools/prepare_data.py``.
        source: SRC; noted, not compared, since downloads move.
        settings: sizes, seed: what the content of the files depends on.
    """

    def __init__(self, folder: Path, command: str, source: Path, settings: dict):
        self.path = folder / 'manifest.json'
        self.partial = folder / 'manifest.partial.json'
        self.data = {
            'command': command,
            'settings': json.loads(json.dumps(settings)),  # tuples become lists
            'source': str(source.resolve()),
            'tool': f'mmagic_mr {__version__}',
        }

    def start(self, jobs: dict[str, list[Job]]) -> None:
        """Refuses a folder that holds other data; notes the settings.

        Args:
            jobs: of each split.

        Raises:
            UserError: DST was made with other settings, or holds images that this
                run would not make.
        """
        folder = self.path.parent
        self.check_settings()
        expected = {
            path for some in jobs.values() for job in some for path in job.outputs
        }
        folders = {path.parent for path in expected}
        found = {path for parent in folders for path in parent.glob('*.png')}
        for path in list(found):
            if finished_path(path) in expected:  # a run was killed while writing it
                path.unlink()
                found.remove(path)
        if strange := {str(path.relative_to(folder)) for path in found - expected}:
            raise UserError(
                f'{folder} holds images that this run does not make: '
                f'{first_few(strange)}. Delete them or use another DST'
            )
        if not self.path.exists():
            write_json(self.data, self.partial)

    def check_settings(self) -> None:
        """Refuses a folder that was made with other settings.

        Raises:
            UserError: says which.
        """
        for path in (self.path, self.partial):
            if path.exists():
                self._compare(path)

    def _compare(self, path):
        try:
            old = json.loads(path.read_text())
            old = {'command': old['command'], 'settings': dict(old['settings'])}
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UserError(f'{path} is not a manifest of this tool') from None
        new = {key: self.data[key] for key in old}
        if old != new:
            were, asked = _differences(old, new)
            raise UserError(
                f'{path.parent} was made with {were}, this run asks for {asked}: '
                'delete it or use another DST'
            )

    def finish(self, jobs: dict[str, list[Job]], **more) -> None:
        """Writes the manifest with the counts per split and whatever is in ``more``."""
        counts = {split: len(split_jobs) for split, split_jobs in jobs.items()}
        write_json({**self.data, 'counts': counts, **more}, self.path)
        self.partial.unlink(missing_ok=True)


def _differences(old, new):
    """Two lists of settings in words, those that are not the same."""
    if old['command'] != new['command']:
        return old['command'], new['command']
    old, new = old['settings'], new['settings']
    keys = [
        key
        for key in {**old, **new}
        if key not in old or key not in new or old[key] != new[key]
    ]
    return [
        ', '.join(f'{key}={settings[key]!r}' for key in keys if key in settings)
        or 'no such setting'
        for settings in (old, new)
    ]
