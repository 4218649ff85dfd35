"""What tools/list_sites.py says of a config's generator."""

import pytest
from helpers import ROOT
from helpers.generators import GENERATORS
from mmengine.registry import init_default_scope

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.cli import find_config
from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.models.noise_sites import survey as survey_model
from mmagic_mr.reports import noise_sites


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmagic')


def survey(name, kind, key='generator', side=None):
    return survey_model({'type': kind, key: GENERATORS[name][0]}, side)


@pytest.mark.parametrize(
    ('name', 'kind', 'preset', 'number'),
    [
        ('unet', 'Pix2Pix', 'pix2pix', 3),
        ('msrresnet', 'SRGAN', 'srgan', 2),
        ('rrdb', 'ESRGAN', 'rrdb', 2),
        ('edsr', 'MREditModel', 'edsr', 2),
    ],
)
def test_presets_of_the_host_and_of_mmagics_class(name, kind, preset, number):
    found = survey(name, kind, side=32)
    assert len(found.presets[preset]) == number
    text = noise_sites.as_text(found)
    assert f"preset '{preset}'" in text
    assert f'noise={preset!r}: {number} sites, shared ' in text
    if name != 'rrdb':  # whose suggestion has the other dense blocks as well
        assert found.suggested() == found.presets[preset]


def test_others_say_why_and_what_is_suggested():
    found = survey('nafnet', 'BaseEditModel', side=32)
    text = noise_sites.as_text(found)
    assert 'no effect' in text
    assert 'groups' in text
    assert found.suggested()[0] == 'ups.0.0'
    every = noise_sites.as_text(found, every=True)
    assert len(every.splitlines()) > len(text.splitlines())
    table = noise_sites.as_markdown({'nafnet/x': found}).splitlines()
    assert table[-1].startswith('| NAFNet | `nafnet` | 32x32 | 36 | 6 |')


def test_inputs_of_inpainting():
    assert survey('pconv', 'PConvInpaintor', 'encdec', 32).side == 32
    assert survey('deepfill', 'TwoStageInpaintor', 'encdec').side == 32
    # The first side that this network takes
    deep = GENERATORS['unet'][0] | dict(num_down=6)
    assert survey_model(dict(type='Pix2Pix', generator=deep)).side == 64


def test_what_cannot_be_listed():
    with pytest.raises(UserError, match='DIC has no generator or encdec'):
        survey_model(dict(type='DIC'))
    with pytest.raises(UserError, match=r'takes no image of 4x4 .*another --size'):
        survey('unet', 'Pix2Pix', side=4)


def test_the_table_in_the_docs_has_all_of_them():
    text = (ROOT / 'docs' / 'noise_sites.md').read_text()
    rows = [line for line in text.splitlines() if line.startswith('| ')]
    assert len(noise_sites.STOCK) >= 15
    for config in noise_sites.STOCK:
        assert sum(f'`{config.split("/")[0]}`' in row for row in rows) == 1
        assert find_config(f'mmagic::{config}.py', ROOT / 'configs').is_file()
    with pytest.raises(MissingFileError, match='no config mmagic::edsr/none'):
        find_config('mmagic::edsr/none.py', ROOT / 'configs')
