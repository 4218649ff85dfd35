"""Links of the documentation, without a network: files, headings, figures."""

import re

import pytest
from helpers import ROOT
from helpers.documents import anchors, links, name_of, pages

PAGES = [*pages(), ROOT / 'CHANGELOG.md']


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for link in links(page):
        if re.match(r'https?://[\w.-]+\.\w+(/|$)', link):
            continue
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f'{link}: there is no {target}'
        if anchor:
            assert anchor in anchors(target), f'{link}: {sorted(anchors(target))}'


def test_every_figure_is_shown():
    shown = {
        (page.parent / link).resolve()
        for page in PAGES
        for link in links(page)
        if link.endswith('.png')
    }
    assert {*(ROOT / 'docs').rglob('*.png')} <= shown


def test_code_names_pages_that_are_there():
    for folder in 'mmagic_mr', 'tools', 'configs', 'tests':
        for path in (ROOT / folder).rglob('*.py'):
            for name in re.findall(r'docs/[\w/]+\.(?:md|png)', path.read_text()):
                assert (ROOT / name).exists(), f'{path}: {name}'


def test_the_readme_is_read_in_minutes():
    assert len((ROOT / 'README.md').read_text().splitlines()) <= 150
