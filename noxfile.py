"""The tests on other stacks than the one of constraints.txt.

    pip install nox
    nox --list
    nox -s 'tests(python3.12-numpy2)' -- tests/models

Each stack is the tested set on another Python, what pip finds without it, or other
versions on top of it. `make test` runs the default one, without nox; what ran when is
in docs/install.md.
"""

import nox

nox.options.default_venv_backend = 'venv'

TESTED = ('-c', 'constraints.txt')
# Name -> Python, where the versions are from, and what replaces some of them in the
# end, whatever the others ask for
STACKS = {
    'default': ('3.11', TESTED, ()),
    'python3.10': ('3.10', (), ()),  # much of the tested set needs 3.11
    'python3.12': ('3.12', TESTED, ()),
    'python3.12-numpy2': ('3.12', TESTED, ('numpy==2.2.6',)),
    'latest': ('3.12', (), ()),
    'onedl': ('3.12', TESTED, ('onedl-mmengine==0.10.12',)),  # over mmengine's files
}


@nox.session
@nox.parametrize(
    ('python', 'versions', 'instead'),
    [nox.param(*stack, id=name) for name, stack in STACKS.items()],
)
def tests(session: nox.Session, versions: tuple, instead: tuple) -> None:
    """Install a stack, and run the tests that are named (all of them)."""
    mode = ('--config-settings', 'editable_mode=compat')
    session.install(*versions, '-e', '.[dev]', *mode)
    if instead:
        session.install('--no-deps', *instead)
    named = session.posargs or ['tests']
    session.run('python', '-m', 'pytest', '-q', '-n', '2', '--dist', 'loadfile', *named)
