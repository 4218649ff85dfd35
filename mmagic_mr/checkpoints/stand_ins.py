"""What mmengine's checkpoints hold beside tensors, rebuilt by narrow stand-ins.

The log history pickles numpy arrays, numpy numbers and four methods. numpy's own
constructors would let a file choose addresses in memory, and ``getattr`` any function:
so the names that a file asks for lead to the functions below, which rebuild
one-dimensional arrays of bool, int and float, and nothing else.
"""

import pickle
from collections.abc import Callable
from types import FunctionType

import numpy as np
from mmengine.logging import HistoryBuffer

_KINDS = ('b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8')
_STATISTICS = ('min', 'max', 'mean', 'current')


def _refuse(what: str) -> None:
    raise pickle.UnpicklingError(
        f'the checkpoint asks for {what}; of numpy and mmengine only one-dimensional '
        'arrays of bool, int and float, and the log history, are allowed'
    )


class _Kind:
    """In place of ``numpy.dtype``: one of the types above, in either byte order."""

    def __new__(cls, name: str, align: bool = False, copy: bool = False):
        if not (isinstance(name, str) and name in _KINDS):
            _refuse(f'the type {name!r} of array elements')
        kind = super().__new__(cls)
        kind.dtype = np.dtype(name)
        return kind

    def __setstate__(self, state: tuple) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) == 8 else None
        if order not in ('<', '>', '|', '=') or state != (
            *(3, order, None, None, None, -1, -1, 0),
        ):
            _refuse(f'an array type of the state {state!r}')
        self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray):
    """In place of ``numpy.ndarray``: an array with one dimension, and its own memory.

    What is made of it, and its pickle, are numpy's own class again.
    """

    __array_priority__ = -1.0

    def __new__(cls):
        return super().__new__(cls, (0,), np.dtype('u1'))

    def __setstate__(self, state: tuple) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            _refuse('an array of another form')
        _, shape, kind, _, content = state
        if not (isinstance(shape, tuple) and len(shape) == 1 and type(shape[0]) is int):
            _refuse(f'an array of the shape {shape!r}')
        _check(kind, content, shape[0])
        super().__setstate__((1, shape, kind.dtype, False, content))

    def __reduce__(self):
        return self.view(np.ndarray).__reduce__()

    def __reduce_ex__(self, protocol):
        return self.view(np.ndarray).__reduce_ex__(protocol)


def _check(kind: object, content: object, length: int) -> None:
    if type(kind) is not _Kind or type(content) is not bytes:
        _refuse('an array of something else than numbers')
    if length < 0 or len(content) != length * kind.dtype.itemsize:
        _refuse(f'{length} numbers, and holds {len(content)} bytes of them')


def _array(cls, shape, typecode):
    if cls is not _Array:
        _refuse(f'an array of the class {cls!r}')
    return _Array()


def _scalar(kind, content):
    _check(kind, content, 1)
    return np.frombuffer(content, kind.dtype)[0]


def _statistic(owner, name):
    if owner is not HistoryBuffer or name not in _STATISTICS:
        _refuse(f'the attribute {name!r} of {owner!r}')
    return getattr(owner, name)


def _named(stand_in: Callable, path: str) -> Callable:
    """Lets torch find a stand-in by this name (torch 2.4 knows no other way)."""
    if isinstance(stand_in, FunctionType):  # each name has a function of its own
        stand_in = FunctionType(stand_in.__code__, globals(), path)
    module, _, name = path.rpartition('.')
    stand_in.__module__ = module
    stand_in.__name__ = stand_in.__qualname__ = name
    return stand_in


# numpy 1 and 2 keep these two functions under different names.
SAFE_GLOBALS: list[Callable] = [
    HistoryBuffer,
    _named(_statistic, 'builtins.getattr'),
    _named(_Kind, 'numpy.dtype'),
    _named(_Array, 'numpy.ndarray'),
    *(
        _named(stand_in, f'{package}.multiarray.{name}')
        for package in ('numpy.core', 'numpy._core')
        for name, stand_in in (('_reconstruct', _array), ('scalar', _scalar))
    ),
]
