"""A second device, with values, on a machine that has but one.

Its tensors call themselves 'meta', and each holds one on the CPU. As on a GPU, what
meets a tensor of the CPU raises, numbers alone excepted. Whatever makes the host wait
for the device is counted, and works: so results can be compared, and whole trainings
with all of their hooks can be run.
"""

from collections import Counter
from contextlib import contextmanager, nullcontext
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

THERE = torch.device('meta')
aten = torch.ops.aten
# The host is told a value, or the size of a result that depends on values
WAITS = (
    aten._local_scalar_dense.default,
    aten.equal.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten._unique2.default,
    aten.repeat_interleave.Tensor,
)
# Indices may be on the CPU
INDEXED = aten.index.Tensor, aten.index_put.default, aten.index_put_.default
JOINED = aten.cat.default, aten.stack.default


class There(Tensor):
    """A tensor of the second device."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held):
        made = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=THERE,
        )
        made.held = held
        return made

    def tolist(self):
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f'{func}: the second device is gone')


class Device(TorchDispatchMode):
    """The second device is there while it is open.

    Attributes:
        waits: Operation -> how often the host waited for the device in it.
        sent: How often a tensor of the CPU was sent, with the host waiting for it.
    """

    def __init__(self):
        super().__init__()
        self.waits, self.sent = Counter(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        there = [v for v in tensors_of((args, kwargs)) if isinstance(v, There)]
        if func is aten._to_copy.default or func is aten.copy_.default:
            result_there = self._move(func, args, kwargs)
        else:
            self._check(func, args, kwargs, there)
            if there and (func in WAITS or _is_masked(func, args)):
                self.waits[func.name()] += 1
            wanted = kwargs.get('device')
            result_there = bool(there) if wanted is None else is_there(wanted)
        if kwargs.get('device') is not None:
            kwargs['device'] = 'cpu'
        args, kwargs = mapped(_held, args), mapped(_held, kwargs)
        result = func(*args, **kwargs)
        own = {id(v.held): v for v in there}  # of what is changed in place

        def outside(value):
            if not isinstance(value, Tensor) or not result_there:
                return value
            return own[id(value)] if id(value) in own else There(value)

        return mapped(outside, result)

    def _move(self, func, args, kwargs) -> bool:
        """Whether the result is there."""
        if func is aten.copy_.default:
            target, source, *rest = args
            to_there = isinstance(target, There)
            waits = not (rest and rest[0]) and not kwargs.get('non_blocking')
        else:
            source, wanted = args[0], kwargs.get('device')
            to_there = isinstance(source, There) if wanted is None else is_there(wanted)
            waits = not kwargs.get('non_blocking')
        if isinstance(source, There) and not to_there:
            self.waits['to the host'] += 1
        if not isinstance(source, There) and to_there:
            self.sent += waits
        return to_there

    def _check(self, func, args, kwargs, there):
        seen = args[:1] + args[2:] if func in INDEXED else (args, kwargs)
        others = [v for v in tensors_of(seen) if not isinstance(v, There)]
        if any(v.is_meta for v in others):
            # torch.tensor([...], device=...), or new_tensor: without a mode, and on a
            # GPU a copy that the host waits for
            raise RuntimeError(f'{func}: a tensor of numbers was sent')
        if there and any(v.dim() or func in JOINED for v in others):
            raise RuntimeError(f'{func}: a tensor was not expected on the CPU')


class Generator(torch.Generator):
    """One that may say that it is on the second device."""

    def __new__(cls, device=None):
        made = super().__new__(cls)
        made.where = torch.device(device or 'cpu')
        return made

    @property
    def device(self):
        return self.where


@contextmanager
def second_device():
    """A `Device`, with what of torch does not know it."""
    generators = mock.patch.object(torch, 'Generator', Generator)
    autocast = mock.patch.object(torch, 'autocast', return_value=nullcontext())
    with generators, autocast, Device() as device:
        yield device


def tensors_of(values):
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list | tuple):
        return [tensor for value in values for tensor in tensors_of(value)]
    return [values] if isinstance(values, Tensor) else []


def mapped(function, values):
    """The same with ``function`` of everything inside."""
    if isinstance(values, dict):
        return {name: mapped(function, value) for name, value in values.items()}
    if type(values) in (list, tuple):
        return type(values)(mapped(function, value) for value in values)
    return function(values)


def is_there(device) -> bool:
    return torch.device(device) == THERE


def _held(value):
    return value.held if isinstance(value, There) else value


def _is_masked(func, args):
    kinds = torch.bool, torch.uint8
    return func in INDEXED and any(v is not None and v.dtype in kinds for v in args[1])
