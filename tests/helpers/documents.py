"""The documentation as it is read by tests: pages, their blocks, links and headings.

A block of code is what a reader copies, so it has to work. The language says how it is
tried: see `tests/docs/test_blocks.py`. Comments of HTML, which no reader sees, change
that; they stand before the block:

- ``<!-- not run: REASON -->``;
- ``<!-- run -->``: commands that are cheap are run, not only looked at;
- ``<!-- config: NAME -->``: a part of a config, whose base is configs/NAME.py;
- ``<!-- setup CODE -->``: Python of a page that its blocks need and nobody reads.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from helpers import ROOT

PARTS = re.compile(
    r'^<!-- setup\n(?P<setup>.*?)^-->$'
    r'|^<!-- (?P<mark>not run|run|config)(?:: (?P<value>.+?))? -->$'
    r'|^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$',
    re.DOTALL | re.MULTILINE,
)
LINK = re.compile(r'!?\[(?:[^\]]*)\]\(([^)\s]+)\)')
HEADING = re.compile(r'^#+ (.+?)(?: \{#([\w-]+)\})?$', re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: where it stands.
        line: of the page, from 1.
        language: as its fence says; 'setup' for hidden Python.
        text: the code.
        marks: comments before it, with their values.
    """

    page: Path
    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    def __str__(self):
        return f'{self.page.relative_to(ROOT)}:{self.line}'

    @property
    def file(self) -> str | None:
        """The name of the file that it is, if its first line is one: `# my_file.py`."""
        found = re.match(r'# ([\w/]+\.py)$', self.text.splitlines()[0])
        return found and found[1]


def pages() -> list[Path]:
    """Every page that is written by hand; studies are written by a tool."""
    root = [ROOT / f'{name}.md' for name in ('README', 'CONTRIBUTING', 'SECURITY')]
    docs = (ROOT / 'docs').rglob('*.md')
    return root + sorted(page for page in docs if page.parent.name != 'studies')


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    text, found, marks = page.read_text(encoding='utf-8'), [], {}
    for part in PARTS.finditer(text):
        line = text.count('\n', 0, part.start()) + 1
        if part['mark']:
            marks[part['mark']] = part['value'] or ''
            continue
        language = part['language'] if part['setup'] is None else 'setup'
        code = part['setup'] if part['setup'] is not None else part['text']
        indent = part['indent'] or ''
        code = re.sub(rf'(?m)^{indent}', '', code)
        found.append(Block(page, line, language, code, marks))
        marks = {}
    return found


def prose(page: Path) -> str:
    """A page without its code."""
    text = PARTS.sub('', page.read_text(encoding='utf-8'))
    return re.sub(r'`[^`\n]+`', '', text)


def links(page: Path) -> list[str]:
    return LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may say after #."""
    text = PARTS.sub('', page.read_text(encoding='utf-8'))
    found = set()
    for title, given in HEADING.findall(text):
        words = re.sub(r'[^\w\s-]', '', title.lower()).strip()
        found.add(given or re.sub(r'\s+', '-', words))
    return found
