"""Installation, and the ``.mim`` folder that ``mim`` looks for in the package."""

import re
import shutil
from pathlib import Path

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
MIM_PARTS = ('configs', 'tools')

# What MMagic 1.2.0 works with; constraints.txt names one tried set exactly. All of it
# is required, so that `pip install` alone gives a set that trains and evaluates. Who
# wants the formulas alone (mmagic_mr.functional, mmagic_mr.losses) needs torch and
# `pip install --no-deps .`
REQUIREMENTS = [
    'torch>=2.1',
    'torchvision',
    'mmagic==1.2.0',
    'mmengine>=0.10.4,<0.11',
    # Shares the folder mmcv/ with full mmcv; of one version, the two get along.
    'mmcv-lite==2.1.0',
    'albumentations>=1.3',  # MMagic imports it and does not declare it
    'jinja2',
    'lpips',
    'matplotlib',
    'packaging',
    'pillow',
    'pyyaml',
    'safetensors',
    'scipy>=1.15,<1.18',  # rng=; MMagic's FID calls sqrtm(disp=...), gone in 1.18
    'tensorboard',
    'torch-fidelity',
    'tqdm',
    'setuptools<81',  # mmengine imports pkg_resources
    # The plugin gives numpy 2 the name that MMagic 1.2.0 asks for; MMagic's own tools
    # import MMagic first, and stop there. The others need numpy 2.
    'numpy<2',
    'opencv-python<4.12',
    'opencv-contrib-python<4.12',
    'opencv-python-headless<4.12',
    'pandas<3',
]

# What MMagic's diffusion editors were written for. Nothing of ours uses them, and all
# else does without or with today's (`mmagic_mr.lazy_packages`).
DIFFUSION = [
    'diffusers>=0.23,<0.25',
    'huggingface_hub<0.26',
    'transformers>=4.30,<4.37',
]

# The explorer, whose page is tested with these. Gradio 5.14 does not work with a later
# pydantic.
APP = ['gradio>=5.9,<5.15', 'pydantic<2.11']


class BuildWithMim(build_py):
    """Puts configs and tools under ``mmagic_mr/.mim``, for a wheel as for a folder."""

    def run(self):
        super().run()
        if getattr(self, 'editable_mode', False):
            return  # the package is the source tree, which stays clean
        target = Path(self.build_lib) / 'mmagic_mr' / '.mim'
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for part in MIM_PARTS:
            # The attacks need the tests, which stay in the repository
            ignore = shutil.ignore_patterns('__pycache__', '*.pyc', 'attacks.py')
            shutil.copytree(ROOT / part, target / part, ignore=ignore)
        shutil.copy(ROOT / 'model-index.yml', target)


def version():
    text = (ROOT / 'mmagic_mr' / '__init__.py').read_text(encoding='utf-8')
    return re.search(r"__version__ = '(.+)'", text).group(1)


def readme():
    path = ROOT / 'README.md'
    return path.read_text(encoding='utf-8') if path.exists() else ''


setup(
    name='mmagic_mr',
    version=version(),
    description=(
        'Moment-reconstruction losses for MMagic: conditional GANs that answer one '
        'input with many outputs'
    ),
    long_description=readme(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    keywords='conditional GAN, multimodal, image-to-image, MMagic, OpenMMLab',
    classifiers=[
        'Intended Audience :: Science/Research',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Typing :: Typed',
    ],
    packages=find_namespace_packages(include=['mmagic_mr', 'mmagic_mr.*']),
    include_package_data=True,
    python_requires='>=3.10',
    install_requires=REQUIREMENTS,
    extras_require={
        'app': APP,
        'diffusion': DIFFUSION,
        'dev': [
            *APP,
            'hypothesis',
            'mypy',
            'pytest',
            'pytest-cov',
            'pytest-xdist',
            'ruff',
            'scoringrules',
            'selenium',
        ],
        # `make docs` installs these alone: the site is built without the package
        'docs': ['mkdocs', 'mkdocs-material', 'mkdocstrings[python]'],
    },
    cmdclass={'build_py': BuildWithMim},
    zip_safe=False,
)
