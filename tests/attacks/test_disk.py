"""The fast part of `make attacks`: disks that are full."""

import pytest
from attacks import disk, training


@pytest.fixture(scope='module')
def tools(tmp_path_factory):
    training.warm_up()
    found = disk.tools(tmp_path_factory.mktemp('tools'))
    return {name: (run, rest) for name, run, rest in found}


@pytest.mark.parametrize(
    ('name', 'fractions'),
    [
        ('train.py', (0.02, 0.15, 0.6)),
        ('test.py', (0.5,)),
        ('report.py', (0.5,)),
        ('study.py make', (0.5,)),
    ],
)
def test_nothing_is_left_half_written(tools, name, fractions, tmp_path):
    run, rest = tools[name]
    outcome = disk.attack(name, run, tmp_path, fractions, rest)
    assert outcome.full
    assert outcome.failures == []


def test_a_file_that_breaks_off_is_noticed(tmp_path):
    """The test of the test."""
    for name, content in [('a.json', '{"a": 1'), ('a.pth', 'PK'), ('a.png', 'x')]:
        (tmp_path / name).write_text(content)
    (tmp_path / '.b.json').write_text('{')
    assert [text[:6].strip() for text in disk.half_written(tmp_path)] == [
        'a.json',
        'a.png',
        'a.pth',
    ]
