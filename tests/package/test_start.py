"""What a tool's start imports, and that MMagic is whole all the same."""

import json
import os
import subprocess
import sys
from importlib.metadata import version

import pytest
from helpers import ROOT
from packaging.version import Version

# Each takes long to import, or is pinned by MMagic to a release of its own.
UNUSED = {
    'albumentations',
    'av',
    'clip',
    'diffusers',
    'face_alignment',
    'huggingface_hub',
    'lpips',
    'matplotlib',
    'numba',
    'pandas',
    'scipy',
    'skimage',
    'sklearn',
    'tokenizers',
    'torch_fidelity',
    'torchvision',
    'transformers',
}
START = f"""
import json, sys
import mmagic_mr.plugin
start = sorted({UNUSED} & sys.modules.keys())
editors = sorted(
    name.split('.')[3] for name in sys.modules if name.count('.') == 3
    and name.startswith('mmagic.models.editors.'))
"""
CONTENT = """
import json, sys
from mmagic import registry
registries = {k: v for k, v in vars(registry).items() if k.isupper()}
registries |= {k: v for k, v in vars(registry).items() if k.startswith('MMENGINE_')}
def content(registry):
    return {k: f'{v.__module__}.{v.__qualname__}'
            for k, v in registry._module_dict.items()
            if v.__module__.split('.')[0] in ('mmagic', 'transformers')}
"""
EAGER = """
from mmagic_mr import compat
compat.import_what_is_asked_for = compat.import_image_utils = lambda: None
compat.import_optimizers = lambda: None
compat.mend()
import mmagic.models, mmagic.datasets, mmagic.evaluation, mmagic.engine
import mmagic.visualization
"""


def run_python(code):
    """Runs code in a new process; returns what it prints last, as JSON."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_start_imports_what_is_used():
    start, editors, after = run_python(
        START
        + """
from mmengine.runner import Runner
from mmagic_mr.host import MODELS
from mmengine.registry import init_default_scope
init_default_scope('mmagic')
MODELS.build(dict(type='MSRResNet', in_channels=3, out_channels=3, mid_channels=4,
                  num_blocks=1))
after = sorted({'diffusers', 'transformers', 'torchvision'} & sys.modules.keys())
print(json.dumps([start, editors, after]))
"""
    )
    assert start == after == []
    assert editors == [
        'aotgan',
        'esrgan',
        'global_local',
        'pix2pix',
        'real_esrgan',
        'srgan',
    ]


@pytest.mark.skipif(
    Version(version('diffusers')) >= Version('0.25'),
    reason='MMagic as it is does not import with it',
)
def test_every_name_of_mmagic_is_found_and_is_the_same_class():
    """Against MMagic imported as it is; each name asked for alone, before the rest."""
    whole = run_python(
        EAGER
        + CONTENT
        + 'print(json.dumps({k: content(v) for k, v in registries.items()}))'
    )
    assert sum(map(len, whole.values())) > 300
    wrong = run_python(
        f'import json; whole = json.loads({json.dumps(whole)!r})\n'
        + START
        + CONTENT
        + """
wrong = []
for variable, names in whole.items():
    for name, expected in names.items():
        found = registries[variable].get(name)
        if f'{found.__module__}.{found.__qualname__}' != expected:
            wrong.append((variable, name, expected, str(found)))
    if names.keys() - content(registries[variable]).keys():
        wrong.append(variable)
print(json.dumps(wrong))
"""
    )
    assert wrong == []


def test_without_the_packages_of_diffusion_only_their_editors_are_missing():
    absent = ['albumentations', 'diffusers', 'face_alignment', 'huggingface_hub']
    absent += ['transformers', 'av']
    said = run_python(
        f"""
import sys
sys.modules.update(dict.fromkeys({absent}))
"""
        + START
        + """
import warnings
from mmagic_mr.errors import UserError
from mmagic_mr.host import MODELS, TRANSFORMS
said = []
for registry, name in (MODELS, 'AnimateDiff'), (TRANSFORMS, 'PairedAlbuTransForms'):
    try:
        registry.get(name)
    except UserError as error:
        said.append(str(error))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    said.append(MODELS.get('UNet2DConditionModel'))
said.append([str(w.message) for w in caught if 'UNet2D' in str(w.message)])
said.append(MODELS.get('SwinIRNet').__name__)
print(json.dumps(said))
"""
    )
    for missing, message in zip(('diffusers', 'albumentations'), said, strict=False):
        assert f'needs the package {missing}, which is not installed' in message
        assert 'constraints.txt' in message
    assert said[2] is None
    assert len(said[3]) == 1
    assert 'could not be imported' in said[3][0]
    assert said[4] == 'SwinIRNet'


def test_an_own_class_may_not_take_the_name_of_one_that_waits():
    import mmagic_mr.plugin  # noqa: F401
    from mmagic_mr.host import MODELS

    with pytest.raises(KeyError, match='RDNNet is already registered in model at'):
        MODELS.register_module(name='RDNNet', module=type('RDNNet', (), {}))
    assert 'RDNNet' in MODELS
    assert 'RDNNett' not in MODELS.parent


def test_a_lazy_package_offers_what_it_did():
    import pickle

    import mmagic.models.editors
    from mmagic.evaluation import metrics
    from mmagic.models import BaseGAN, editors

    assert issubclass(editors.DCGAN, BaseGAN)
    assert pickle.loads(pickle.dumps(editors.SRCNNNet)) is editors.SRCNNNet
    assert callable(metrics.psnr)  # the function, not the file of its name
    assert mmagic.models.editors.liif.LIIF is editors.LIIF
    assert {'DCGAN', 'LIIF'} <= set(dir(editors))
    with pytest.raises(AttributeError, match="editors' has no attribute 'DCGANN'"):
        editors.DCGANN  # noqa: B018


def test_a_config_finds_all_that_the_plugin_brings():
    """In a process of its own, where no test has imported anything."""
    code = (
        'import mmagic_mr.plugin\n'
        'from mmengine.registry import OPTIM_WRAPPERS, init_default_scope\n'
        'from mmagic_mr.host import HOOKS, METRICS, MODELS\n'
        'init_default_scope("mmagic")\n'
        'found = [OPTIM_WRAPPERS.get("FastOptimWrapper"), MODELS.get("CRPSLoss"),\n'
        '         HOOKS.get("SpreadControlHook"), METRICS.get("AnswerDistance")]\n'
        'assert None not in found, found\n'
    )
    subprocess.run([sys.executable, '-c', code], check=True, capture_output=True)
