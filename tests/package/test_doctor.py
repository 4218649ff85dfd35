"""The doctor on environments that are broken on purpose."""

import re
import subprocess
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mmagic_mr import doctor
from mmagic_mr.errors import UserError

# What fits, and one release that each range has
FITS = {
    'torch': '2.11.0',
    'torchvision': '0.26.0',
    'mmagic': '1.2.0',
    'mmengine': '0.10.7',
    'mmcv-lite': '2.1.0',
    'numpy': '1.26.4',
}
REQUIRES = (
    'torch>=2.1',
    'torchvision',
    'mmagic==1.2.0',
    'mmengine<0.11,>=0.10.4',
    'mmcv-lite==2.1.0',
    'numpy<2',
    'pytest; extra == "dev"',
)


class Site:
    """A folder like site-packages, with what pip would write down and no more."""

    def __init__(self, folder):
        self.folder = folder
        self.install('mmagic-mr', '0.1.0', REQUIRES)
        for name, version in FITS.items():
            self.install(name, version)

    def install(self, name, version, requires=()):
        self.uninstall(name)
        info = self.folder / f'{name.replace("-", "_")}-{version}.dist-info'
        info.mkdir()
        lines = ['Metadata-Version: 2.1', f'Name: {name}', f'Version: {version}']
        lines += [f'Requires-Dist: {line}' for line in requires]
        (info / 'METADATA').write_text('\n'.join(lines) + '\n')

    def uninstall(self, name):
        for info in self.folder.glob(f'{name.replace("-", "_")}-*.dist-info'):
            (info / 'METADATA').unlink()
            info.rmdir()

    def environment(self):
        return doctor.Environment.read([str(self.folder)])

    def obey(self, line):
        """What pip would do, with the first release that is known to fit."""
        before, _, wanted = line.rpartition('pip install ')
        if '--no-build-isolation' in wanted:  # pip brings nothing to build with
            assert {'"setuptools<81"', 'wheel'} <= set(before.split())
        for name in re.findall(r'(mmcv\S*)', before):  # of pip uninstall
            self.uninstall(name)
        for word in re.findall(r'"([^"]+)"|(\S+)', wanted):
            text = ''.join(word)
            if text.startswith('-'):
                continue
            wanted = Requirement(text)
            known = FITS.get(canonicalize_name(wanted.name), '2.1.0')
            exact = [s.version for s in wanted.specifier if s.operator == '==']
            version = exact[0] if exact else known
            assert wanted.specifier.contains(version)
            self.install(wanted.name, version)
            for broken in self.folder.glob(f'{wanted.name}/_ext*.so'):
                broken.unlink()  # built anew


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def older_torch(site):
    site.install('torch', '2.1.2')


def numpy_2(site):
    site.install('numpy', '2.2.6')


def no_mmcv(site):
    site.uninstall('mmcv-lite')


def wrong_mmagic(site):
    site.install('mmagic', '1.0.0')


def mmcv_of_another_torch(site):
    site.uninstall('mmcv-lite')
    site.install('mmcv', '2.1.0')
    (site.folder / 'mmcv').mkdir()
    (site.folder / 'mmcv' / '_ext.cpython-311.so').write_bytes(b'no library')


def both_mmcv(site):
    site.install('mmcv', '2.1.0')
    site.install('mmcv-lite', '2.0.0')


def two_faults(site):
    numpy_2(site)
    wrong_mmagic(site)


@pytest.mark.parametrize(
    ('fault', 'what', 'line'),
    [
        (older_torch, 'torchvision 0.26.0 does not fit', 'torchvision==0.16.2'),
        (numpy_2, 'numpy 2.2.6 does not fit: numpy<2', '"numpy<2"'),
        (no_mmcv, 'mmcv-lite is missing', 'mmcv-lite==2.1.0'),
        (wrong_mmagic, 'mmagic 1.0.0 does not fit', 'mmagic==1.2.0'),
        (
            mmcv_of_another_torch,
            'the compiled part of mmcv 2.1.0 does not fit torch 2.11.0',
            doctor.INSTALL_MMCV.format(version='2.1.0'),
        ),
        (both_mmcv, 'share a folder', 'mmcv-lite==2.1.0'),
        (two_faults, 'mmagic 1.0.0', 'mmagic==1.2.0 "numpy<2"'),
    ],
)
def test_the_line_that_it_prints_mends_it(site, capsys, fault, what, line):
    assert doctor.main(site.environment()) == 0
    assert 'all of it fits' in capsys.readouterr().out
    fault(site)
    assert doctor.main(site.environment()) == 1
    said = capsys.readouterr().out
    assert what in said
    lines = [x.strip() for x in said.splitlines() if x.strip().startswith('pip ')]
    assert lines == [line if line.startswith('pip ') else f'pip install {line}']
    assert lines[0] in doctor.advice(site.environment())
    site.obey(lines[0])
    assert doctor.main(site.environment()) == 0


def test_torch_of_a_local_build_fits(site):
    site.install('torch', '2.11.0+cu126')
    site.install('torchvision', '0.26.0+cu126')
    assert site.environment().findings() == []


def test_a_package_that_is_not_installed_is_said(tmp_path):
    (finding,) = doctor.Environment.read([str(tmp_path)]).findings()
    assert finding.what == 'mmagic_mr is not installed'


def test_an_import_that_fails_says_what_to_install(monkeypatch, site):
    numpy_2(site)
    broken = site.environment()
    monkeypatch.setattr(doctor.Environment, 'read', classmethod(lambda cls: broken))
    says = pytest.raises(UserError, match=r'numpy 2\.2\.6.*pip install "numpy<2"')
    with says as e, doctor.explained('MMagic'):
        raise AttributeError('np.bool8')
    assert isinstance(e.value, ImportError)
    assert 'MMagic does not import (AttributeError: np.bool8)' in str(e.value)


def test_a_tool_says_it_in_one_line(tmp_path):
    """With a MMagic that does not import, in place of the installed one."""
    (tmp_path / 'mmagic').mkdir()
    (tmp_path / 'mmagic' / '__init__.py').write_text('import no_such_module')
    code = (
        f'import sys; sys.path.insert(0, {str(tmp_path)!r})\n'
        'from mmagic_mr import cli\n'
        'with cli.short_errors():\n    import mmagic_mr.plugin\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith('error: MMagic does not import (ModuleNotFoundError')
    assert 'no_such_module' in line


def test_it_imports_nothing_that_may_be_broken():
    code = (
        'import sys; from mmagic_mr import doctor; doctor.main(); print(*sys.modules)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    heavy = {'torch', 'numpy', 'mmagic', 'mmengine', 'mmcv'}
    assert not heavy & set(done.stdout.splitlines()[-1].split())
