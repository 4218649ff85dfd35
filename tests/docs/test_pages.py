"""Pages that repeat what stands elsewhere say what stands there."""

import ast
import re

from helpers import ROOT

from mmagic_mr.reports.paper import TABLE_1


def texts(folder):
    """Every string in the code of a folder, f-strings with a mark at each gap."""
    for path in folder.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    v.value if isinstance(v, ast.Constant) else '\0'
                    for v in node.values
                ]
                yield ''.join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_the_messages_of_troubleshooting_are_those_of_the_code():
    page = (ROOT / 'docs/troubleshooting.md').read_text()
    messages = re.findall(r'^\*\*`(.+)`\*\*$', page, re.MULTILINE)
    assert len(messages) > 20
    code = [*texts(ROOT / 'mmagic_mr'), *texts(ROOT / 'tools')]
    for message in messages:
        for piece in filter(None, re.split(r' ?\.\.\.[,:;]? ?(?=\S|$)', message)):
            assert any(piece in text for text in code), piece


def test_the_papers_table_is_the_reports():
    page = (ROOT / 'docs/paper.md').read_text()
    found = re.findall(
        r'^\| ([^|]+) \| (\d\.\d\d) \| (\d\.\d{3}) \|', page, re.MULTILINE
    )
    expected = [
        (method, f'{score.realism:.2f}', f'{score.diversity:.3f}')
        for table in TABLE_1.values()
        for method, score in table.items()
    ]
    assert found == expected
    for config in re.findall(r'\| `(\w+)` \|', page):
        assert (ROOT / 'configs' / f'{config}.py').is_file()


def test_the_site_needs_what_the_extra_has():
    setup, make = ((ROOT / name).read_text() for name in ('setup.py', 'Makefile'))
    extra = re.search(r"'docs': (\[.*\])", setup)[1]
    installed = re.search(r'-c constraints.txt \\\n\t\t(.*)', make)[1]
    assert ast.literal_eval(extra) == [name.strip("'") for name in installed.split()]
