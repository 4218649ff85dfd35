"""The layout that docs/architecture.md describes: who imports whom, and how long."""

import ast

import pytest
from helpers import ROOT

PACKAGE = ROOT / 'mmagic_mr'
FILES = sorted(PACKAGE.rglob('*.py'))
ROOMS = {
    'functional': set(),
    'networks': {'functional', 'io'},
    'losses': {'functional', 'networks'},
    'sampling': set(),
    'data': set(),
    'metrics': {'functional', 'networks'},
    'models': {'functional', 'sampling', 'data'},
    'reports': {
        *('losses', 'functional', 'metrics', 'data', 'inference', 'plugin'),
        *('models', 'sampling'),  # for the list of noise sites
    },
    'hooks': {'reports', 'checkpoints'},
    'checkpoints': {'io'},
    'apis': {'inference', 'reports', 'sampling', 'checkpoints', 'cli', 'optim'},
    'apps': {'apis', 'data', 'reports', 'inference'},
    'study': {'data', 'metrics', 'cli'},
}
TORCH_ONLY = ('functional', 'networks', 'losses', 'sampling')
COMMON = {'errors', 'checks', 'io', 'host', 'log_values'}


def imports(path):
    """Full names of what a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: a relative import'
            yield from (f'{node.module}.{name.name}' for name in node.names)


@pytest.mark.parametrize('room', ROOMS)
def test_a_room_imports_only_those_below(room):
    allowed = {room, 'errors', 'checks'} if room in TORCH_ONLY else COMMON | {room}
    for path in (PACKAGE / room).rglob('*.py'):
        for name in imports(path):
            package, _, rest = name.partition('.')
            if package == 'mmagic_mr' and rest and rest != '__version__':
                other = rest.split('.')[0]
                assert other in allowed | ROOMS[room], f'{path}: {name}'


def test_there_is_one_door_to_mmagic():
    through = {
        str(path.relative_to(PACKAGE))
        for path in FILES
        if any(name.split('.')[0] == 'mmagic' for name in imports(path))
    }
    assert through == {'host.py', 'compat.py'}


def test_nothing_imports_the_tools():
    for path in FILES:
        assert not any(name.split('.')[0] == 'tools' for name in imports(path)), path


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_is_short_enough_to_be_read(path):
    assert len(path.read_text().splitlines()) <= 400
