"""The tests on other stacks than the one of constraints.txt.

    pip install nox
    nox --list
    nox -s 'tests(python3.12-numpy2)' -- tests/models

Each stack is the tested set with a few versions changed. `make test` runs the default
one, without nox; what ran when is in docs/install.md.
"""

import re
from pathlib import Path

import nox

nox.options.default_venv_backend = 'venv'

# Name -> Python, and what differs from constraints.txt
STACKS = {
    'default': ('3.11', {}),
    'python3.10': ('3.10', {}),
    'python3.12': ('3.12', {}),
    'python3.12-numpy2': ('3.12', {'numpy': '2.2.6'}),
}


def constraints(folder: Path, changes: dict[str, str]) -> Path:
    """The tested set with other versions, as a file in a folder."""
    lines = Path('constraints.txt').read_text(encoding='utf-8').splitlines()
    for name, version in changes.items():
        pattern = re.compile(rf'{re.escape(name)}==')
        if not any(map(pattern.match, lines)):
            raise ValueError(f'constraints.txt has no {name}')
        lines = [line for line in lines if not pattern.match(line)]
        lines.append(f'{name}=={version}')
    path = folder / 'constraints.txt'
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return path


@nox.session
@nox.parametrize(
    ('python', 'changes'),
    [nox.param(*stack, id=name) for name, stack in STACKS.items()],
)
def tests(session: nox.Session, changes: dict[str, str]) -> None:
    """Install a stack, and run the tests that are named (all of them)."""
    versions = constraints(Path(session.create_tmp()), changes)
    mode = ('--config-settings', 'editable_mode=compat')
    session.install('-c', str(versions), '-e', '.[dev]', *mode)
    named = session.posargs or ['tests']
    session.run('python', '-m', 'pytest', '-q', '-n', '2', '--dist', 'loadfile', *named)
