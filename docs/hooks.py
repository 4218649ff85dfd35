"""What mkdocs and griffe, which reads the docstrings, do not do by themselves."""

import logging
import re
from pathlib import Path

import griffe
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
# Pages that stand at the root of the repository; the README is the site's first page.
OUTSIDE = ('README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md')
log = logging.getLogger('mkdocs.hooks.mmagic_mr')


def on_config(config):
    """Leave out what the nav names and nobody has written yet.

    A misspelt name does not get through: then a page is left that the nav does not
    name, which stops the build.
    """
    config.nav = _existing(config.nav, Path(config.docs_dir))
    return config


def _existing(nav, folder):
    kept = []
    for entry in nav:
        ((title, target),) = entry.items() if isinstance(entry, dict) else [('', entry)]
        if isinstance(target, list):
            kept.append({title: _existing(target, folder)})
        elif target in OUTSIDE or (folder / target).is_file():
            kept.append(entry)
        else:
            log.info('left out of the nav, since there is no such page: %s', target)
    return kept


def on_files(files, config):
    """Add the pages of the root, with links as from the folder of the others."""
    for name in OUTSIDE:
        text = (ROOT / name).read_text(encoding='utf-8').replace('](docs/', '](')
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Let links to the root find the pages that `on_files` added."""
    depth = page.file.src_uri.count('/')
    up = '../' * (depth + 1)
    names = '|'.join(map(re.escape, OUTSIDE))
    return re.sub(rf'\]\({re.escape(up)}({names})', rf']({"../" * depth}\1', markdown)


class PlainDocstrings(griffe.Extension):
    """Puts what the docstrings have of reStructuredText into Markdown."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = _as_markdown(obj.docstring.value)


def _as_markdown(text):
    text = re.sub(r'(?m)^( *)Example:$', r'\1Examples:', text)
    text = re.sub(r':(?:math|class|func|meth|mod):`~?([^`]+)`', r'`\1`', text)
    return re.sub(r'(?m)^( *)\.\. math::(.*(?:\n(?:\1 +.*)?(?=\n|$))*)', _formula, text)


def _formula(found):
    indent, lines = found[1], found[2].strip('\n').splitlines()
    shown = [f'{indent}{line.strip()}' for line in lines if line.strip()]
    return '\n'.join([f'{indent}```text', *shown, f'{indent}```', ''])
