"""docs/hosts.md has every argument of MMagic's classes and what becomes of it."""

import re

import pytest
from helpers import ROOT

from mmagic_mr import models
from mmagic_mr.models.arguments import constructor_arguments
from mmagic_mr.models.base import Host

PAGE = (ROOT / 'docs' / 'hosts.md').read_text()
HOSTS = [name for name in models.__all__ if issubclass(getattr(models, name), Host)]
OF_ALL = {'data_preprocessor', 'test_cfg', 'init_cfg'}


def said(name):
    """Argument -> what the page says of it; rows that point elsewhere are followed."""
    (section,) = re.findall(rf'^### `{name}`\n(.*?)^##', PAGE, re.MULTILINE | re.DOTALL)
    found = {}
    for row in re.findall(r'^\| (`.*?) \| (.*) \|$', section, re.MULTILINE):
        elsewhere = re.match(r'as of `(\w+)`', row[1])
        for argument in re.findall(r'`(\w+)`', row[0]):
            assert argument not in found, argument
            found[argument] = said(elsewhere[1])[argument] if elsewhere else row[1]
    return found


@pytest.mark.parametrize('name', HOSTS)
def test_every_argument_is_on_the_page(name):
    host, found = getattr(models, name), said(name)
    arguments = set(constructor_arguments(host.mmagic_class))
    ignored = OF_ALL - set(host.used_arguments)
    assert ignored & arguments == set()
    assert found.keys() == arguments - OF_ALL
    for argument, words in found.items():
        kind = (
            'used'
            if argument in host.used_arguments
            else 'replaced'
            if argument in host.reconstruction_terms
            else 'refused'
        )
        assert words.startswith(kind), (argument, words)


@pytest.mark.parametrize('name', HOSTS)
def test_every_host_and_preset_is_in_the_first_table(name):
    host = getattr(models, name)
    assert f'| `{name}` | `{host.mmagic_class.__name__}`' in PAGE
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f'| `{name}` |')]
    named = set(re.findall(r"`'(\w+)'`", row))
    assert named <= set(host.noise_presets)
    assert set().union(
        *(set(re.findall(r"`'(\w+)'`", line)) for line in PAGE.splitlines())
    ) >= set(host.noise_presets)
