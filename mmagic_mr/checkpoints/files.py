"""The one reader and the one writer of checkpoint files."""

import io
import os
import pickle
import re
import urllib.error
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mmagic_mr.checkpoints.stand_ins import SAFE_GLOBALS
from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.io import atomic_path

_FORCE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
_FORCE_NOT = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
_TRUST = 'a checkpoint may hold only tensors and plain data: it is data, not code'


class UnreadableError(UserError):
    """A checkpoint that is damaged, or holds more than data."""


def allow_log_history() -> None:
    """Let the safe loader of torch >= 2.6 read mmengine's log history (stand-ins)."""
    if hasattr(torch.serialization, 'add_safe_globals'):  # torch >= 2.4
        torch.serialization.add_safe_globals(SAFE_GLOBALS)


@contextmanager
def safe_loading(name: str | os.PathLike) -> Iterator[None]:
    """Inside, ``torch.load`` is the safe one, whatever its caller asks for.

    Args:
        name: File or URL, for the errors.

    Raises:
        MissingFileError: there is no such file.
        UnreadableError: it cannot be read. Its words are not torch's, which advise to
            load the file unsafely.
    """
    allow_log_history()
    before = {key: os.environ.get(key) for key in (_FORCE, _FORCE_NOT)}
    os.environ[_FORCE] = '1'
    os.environ.pop(_FORCE_NOT, None)  # torch refuses both at once
    try:
        yield
    except (UserError, ImportError, MemoryError):
        raise
    except FileNotFoundError:
        raise MissingFileError(f'no checkpoint {name}') from None
    except urllib.error.URLError as error:
        raise UserError(f'cannot fetch the checkpoint {name}: {error}') from error
    except pickle.UnpicklingError as error:
        asked = re.search(r'GLOBAL (\S+) was not an allowed', str(error))
        what = f'asks for {asked[1]}' if asked else 'is damaged, or holds more'
        raise UnreadableError(
            f'{name} is not a readable checkpoint: it {what}; {_TRUST}'
        ) from (error)
    except Exception as error:
        reason = str(error).strip().split('\n')[0] or type(error).__name__
        raise UnreadableError(
            f'{name} is not a readable checkpoint: {reason}'
        ) from error
    finally:
        for key, value in before.items():
            os.environ.pop(key, None)
            if value is not None:
                os.environ[key] = value


def read(path: str | os.PathLike, map_location: Any = 'cpu') -> Any:
    """What a checkpoint file holds: tensors and plain data.

    Args:
        path: File.
        map_location: As for torch.

    Raises:
        MissingFileError: there is no such file.
        UnreadableError: it is damaged, or holds more than that.
    """
    with safe_loading(path):
        return torch.load(path, map_location=map_location, weights_only=True)


def state_dict_of(
    checkpoint: Any, path: str | os.PathLike, what: str = 'checkpoint'
) -> Mapping[str, Tensor]:
    """The parameters in a checkpoint, or the whole of it if it is nothing else.

    Raises:
        UserError: there are none.
    """
    stored = checkpoint
    if isinstance(checkpoint, Mapping):
        stored = checkpoint.get('state_dict', checkpoint)
    if not isinstance(stored, Mapping) or not all(
        isinstance(value, Tensor) for value in stored.values()
    ):
        raise UserError(f'{path} is no {what}: it has no state_dict of tensors')
    return stored


def plain_names(
    stored: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Parameters under the names that a model without wrappers gives them.

    Args:
        stored: Of a checkpoint, maybe of a model whose parts were wrapped.
        own: Of the model, whose names stay as they are.

    Example:
        >>> plain_names({'generator.module.bias': torch.ones(1)}, {})
        {'generator.bias': tensor([1.])}
    """
    return {
        name if name in own else name.replace('.module.', '.'): value
        for name, value in stored.items()
    }


def check_fits(
    stored: Mapping[str, Tensor], own: Mapping[str, Tensor], path: str | os.PathLike
) -> None:
    """Refuse parameters whose names and shapes are not exactly the model's.

    Args:
        stored: Of the checkpoint.
        own: Of the model.
        path: Of the checkpoint, for the error.

    Raises:
        UserError: names some that are missing, unexpected, or of another shape.
    """
    missing = [name for name in own if name not in stored]
    unexpected = [name for name in stored if name not in own]
    reshaped = [
        f'{name} {tuple(stored[name].shape)} instead of {tuple(own[name].shape)}'
        for name in own.keys() & stored.keys()
        if stored[name].shape != own[name].shape
    ]
    parts = [
        f'{len(names)} {what} ({", ".join(sorted(names)[:3])}'
        f'{", ..." if len(names) > 3 else ""})'
        for what, names in [
            ('missing', missing),
            ('unexpected', unexpected),
            ('of another shape', reshaped),
        ]
        if names
    ]
    if parts:
        raise UserError(
            f'{path} is of another architecture than the config: parameters '
            f'{"; ".join(parts)}'
        )


def write(checkpoint: Any, path: str | os.PathLike) -> None:
    """Write a checkpoint whole, or leave the file that was there.

    In memory first: torch would hide behind an error of its own that the disk is full.
    """
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    with atomic_path(path) as unfinished:
        unfinished.write_bytes(buffer.getbuffer())
