"""What is installed: the wheel's content, its dependencies, and what mim reads."""

import ast
import os
import subprocess
import sys
from collections import Counter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from helpers import ROOT
from mmengine.config import Config
from packaging.requirements import Requirement

import mmagic_mr
from mmagic_mr import metafile

LEAVES = sorted(path.name for path in (ROOT / 'configs').glob('*.py'))


def files(folder):
    paths = (path.relative_to(folder) for path in folder.rglob('*') if path.is_file())
    return {path for path in paths if '__pycache__' not in path.parts}


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """The package as a wheel holds it, and its dependencies."""
    base = tmp_path_factory.mktemp('build')
    command = [sys.executable, 'setup.py', '-q', 'egg_info', '--egg-base', base]
    command += ['build_py', '--build-lib', base / 'lib']
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, capture_output=True)
    return base


def test_wheel_carries_what_mim_looks_for(built):
    mim = built / 'lib/mmagic_mr/.mim'
    assert files(mim / 'configs') == files(ROOT / 'configs')
    assert files(mim / 'tools') == files(ROOT / 'tools') - {Path('attacks.py')}


def test_wheel_carries_every_file_of_the_package(built):
    mim = Path('.mim')
    got = {path for path in files(built / 'lib/mmagic_mr') if mim not in path.parents}
    assert got == files(ROOT / 'mmagic_mr')


@pytest.mark.parametrize('name', LEAVES)
def test_config_resolves_from_within_the_package(built, name):
    path = built / 'lib/mmagic_mr/.mim/configs' / name
    cfg = Config.fromfile(path, import_custom_modules=False)
    assert cfg.custom_imports.imports == ['mmagic_mr.plugin']
    assert cfg.model.type


def test_mim_finds_one_file_of_each_config_name(built):
    names = Counter(path.name for path in files(built / 'lib/mmagic_mr'))
    assert {name: names[name] for name in LEAVES} == dict.fromkeys(LEAVES, 1)


def test_metafiles_are_up_to_date():
    """If not: python tools/metafiles.py"""
    for path, text in metafile.metafiles(ROOT).items():
        assert path.read_text() == text


def test_model_index_lists_the_configs(built):
    mim = built / 'lib/mmagic_mr/.mim'
    (name,) = yaml.safe_load((mim / 'model-index.yml').read_text())['Import']
    index = yaml.safe_load((mim / name).read_text())
    (collection,) = index['Collections']
    listed = []
    for model in index['Models']:
        assert model['In Collection'] == collection['Name']
        path = mim / model['Config']
        assert path.is_file()
        assert path.stem == model['Name']
        listed.append(path.name)
    assert {name for name in LEAVES if 'demo' not in name} <= set(listed)
    assert len(listed) == len(set(listed))


def test_metafile_says_what_a_config_trains():
    entry = metafile.entry(ROOT / 'configs/srgan_noise_images.py', ROOT)
    assert entry['Results'] == [
        {'Task': 'Image Super-Resolution', 'Dataset': 'your own pictures'}
    ]
    assert entry['Metadata'] == {
        'Training Data': 'your own pictures',
        'Class': 'MRSRGAN',
        'Losses': 'those of the host',
        'Samples': 1,
        'Batch Size': 32,
        'Iterations': 50000,
    }
    entry = metafile.entry(ROOT / 'configs/pix2pix_proxy_mr2_maps.py', ROOT)
    assert entry['Metadata']['Losses'] == 'ProxyMRLoss'
    assert entry['Metadata']['Samples'] == 10


def test_constraints_satisfy_the_dependencies(built):
    lines = (ROOT / 'constraints.txt').read_text().splitlines()
    pins = {}
    for line in lines:
        if line and not line.startswith('#'):
            pin = Requirement(line)
            pins[pin.name.lower().replace('_', '-')] = str(pin.specifier)
    requires = (built / 'mmagic_mr.egg-info/requires.txt').read_text().splitlines()
    requires = [Requirement(line) for line in requires if line and line[0] != '[']
    assert len(requires) > 10
    for required in requires:
        pin = pins[required.name.lower().replace('_', '-')]
        if pin.startswith('=='):
            assert required.specifier.contains(pin[2:]), required
        else:
            assert pin == str(required.specifier), required


def test_what_is_imported_is_a_dependency(built):
    requires = (built / 'mmagic_mr.egg-info/requires.txt').read_text()
    declared = {
        Requirement(line).name.lower().replace('_', '-')
        for line in requires.split('[dev]')[0].split()
        if line[0] != '['
    }
    providers = packages_distributions()
    for path in (ROOT / 'mmagic_mr').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in {name.split('.')[0] for name in names}:
                if name in sys.stdlib_module_names or name == 'mmagic_mr':
                    continue
                packages = {p.lower().replace('_', '-') for p in providers[name]}
                assert packages & declared, f'{path.name} imports {name}'


def run_python(code):
    """Runs code in a new process, which finds the package; returns what it prints."""
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_version_and_light_import():
    version = run_python(
        'import sys, mmagic_mr; print(mmagic_mr.__version__); '
        'assert not {"torch", "numpy", "mmengine"} & set(sys.modules)'
    )
    assert version == mmagic_mr.__version__ == '0.1.0'


@pytest.mark.parametrize(
    ('module', 'call'),
    [
        ('functional', "mr_loss(samples, y, 'gaussian', order=1).mean()"),
        ('losses', 'MRLoss(order=1)(samples, y)'),
    ],
)
def test_formulas_need_torch_alone(module, call):
    """As after `pip install --no-deps`, where torch is all that there is."""
    absent = sorted(
        {'mmagic', 'mmcv', 'mmengine', 'cv2', 'lpips', 'matplotlib', 'pandas', 'scipy'}
        | {'torch_fidelity', 'torchvision', 'yaml'}
    )
    said = run_python(
        f'import sys; sys.modules.update(dict.fromkeys({absent}))\n'
        f'import torch, mmagic_mr.{module} as room\n'
        'samples, y = torch.zeros(1, 4, 3, 2, 2), torch.ones(1, 3, 2, 2)\n'
        f'print(float(room.{call}))'
    )
    assert said == '1.0'


def test_types_are_marked_and_the_citation_is_of_this_version(built):
    assert (built / 'lib/mmagic_mr/py.typed').is_file()
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['version'] == mmagic_mr.__version__
    assert citation['license'] == 'Apache-2.0'
    (paper,) = citation['references']
    assert paper['title'] in (ROOT / 'README.md').read_text().replace('{GAN}', 'GAN')


def test_public_ci_runs_the_same_check():
    workflow = yaml.safe_load((ROOT / '.github/workflows/ci.yml').read_text())
    steps = [step.get('run') for step in workflow['jobs']['check']['steps']]
    assert 'bash .ci/run' in steps


def test_a_script_beside_the_repository_finds_the_package(tmp_path):
    """And not the folder of the repository, which has the same name."""
    (tmp_path / 'mmagic_mr').symlink_to(ROOT)
    script = tmp_path / 'script.py'
    script.write_text('import mmagic_mr.data; print(mmagic_mr.__file__)')
    env = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    done = subprocess.run(
        [sys.executable, script], env=env, capture_output=True, text=True
    )
    assert done.stdout.strip().endswith('mmagic_mr/__init__.py'), done
