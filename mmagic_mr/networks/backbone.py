"""The convolution weights that LPIPS stands on: fetched once, checked, kept offline.

The `lpips` package ships its linear heads but takes the trunk (AlexNet, VGG16) from a
download of torchvision. Here the trunk is a safetensors file in a cache folder.
Nothing but the standard library and NumPy is imported until a file is loaded.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.io import atomic_path

if TYPE_CHECKING:
    from torch import Tensor

FETCH = 'python tools/fetch_backbone.py'


Array: TypeAlias = npt.NDArray[Any]


class Trunk(NamedTuple):
    """Which convolutions of a network, and what they must be."""

    layers: tuple[int, ...]  # index of each convolution in torchvision's `features`
    shapes: tuple[tuple[int, ...], ...]  # OIHW
    content: str  # `content_hash` of the result


def _vgg_shapes() -> tuple[tuple[int, ...], ...]:
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
        'b46189e918b5839984e730473cc7329f473de17968d8502d355c0f0fd30797e7',
    ),
    'vgg': Trunk(
        (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
        _vgg_shapes(),
        '441a19f14162bd7500dada8abf5ea122eae6bfb8beb0157b85974ee9aae8a060',
    ),
}


class BackboneMissing(MissingFileError):
    """The trunk is not in the cache; the message says how to get it."""


def cache_dir(override: str | os.PathLike[str] | None = None) -> Path:
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


def backbone_path(
    net: str = 'alex', cache: str | os.PathLike[str] | None = None
) -> Path:
    """File in which the trunk of `net` ('alex', 'vgg') is kept."""
    if net not in TRUNKS:
        raise UserError(f'no trunk named {net!r}; there are {sorted(TRUNKS)}')
    return cache_dir(cache) / f'{net}-conv.safetensors'


def content_hash(arrays: dict[str, Array]) -> str:
    """SHA-256 over names, shapes and float32 bytes; no file format is part of it."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name], dtype='<f4')
        digest.update(f'{name}{array.shape}'.encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def check_shapes(arrays: dict[str, Array], net: str) -> None:
    """Raise UserError unless `arrays` are float32 trunk weights of `net`."""
    trunk = TRUNKS[net]
    expected = {}
    for layer, shape in zip(trunk.layers, trunk.shapes, strict=True):
        expected[f'features.{layer}.weight'] = shape
        expected[f'features.{layer}.bias'] = shape[:1]
    found = {name: tuple(array.shape) for name, array in arrays.items()}
    if found != expected:
        wrong = sorted(set(found.items()) ^ set(expected.items()))
        raise UserError(f'not the convolutions of {net!r}; differing: {wrong}')
    for name, array in arrays.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise UserError(f'{name}: finite float32 expected, not {array.dtype}')


def save_backbone(arrays: dict[str, Array], path: Path, net: str, source: str) -> str:
    """Write the trunk with its hash and origin; returns the hash."""
    from safetensors.numpy import save_file

    check_shapes(arrays, net)
    digest = content_hash(arrays)
    with atomic_path(path) as unfinished:
        save_file(
            arrays,
            unfinished,
            metadata=dict(net=net, source=source, content_sha256=digest),
        )
    return digest


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a safetensors file, read without loading a tensor."""
    with open(path, 'rb') as file:
        length = int.from_bytes(file.read(8), 'little')
        if length > 1 << 20:
            raise UserError(f'{path} is not a safetensors file')
        found: dict[str, str] = json.loads(file.read(length)).get('__metadata__', {})
    return found


def load_backbone(
    net: str = 'alex', path: str | os.PathLike[str] | None = None
) -> tuple[dict[str, 'Tensor'], str]:
    """Load the trunk's convolutions as a state dict with torchvision's names.

    Args:
        net: 'alex' or 'vgg'.
        path: a safetensors file; None: the one in the cache.

    Returns:
        (state dict, content hash). The hash of the published ImageNet weights is
        `TRUNKS[net].content`.

    Raises:
        BackboneMissing: no such file; the message holds the command that gets it.
        UserError: the file's tensors are not what its hash says.
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
        raise UserError(
            f'{file} is damaged: its tensors hash to {digest}, recorded '
            f'is {recorded}. Delete it and run: {FETCH}'
        )
    return state, digest
