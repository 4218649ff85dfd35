"""A concatenation along channels that waits for the convolution after it."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from mmagic_mr.errors import UserError

_CONVOLUTIONS = {F.conv2d: 1, F.conv_transpose2d: 0}  # weight's input-channel dim
# The functions that MMagic's networks apply between a concatenation and the
# convolution after it, with the position of their `inplace` argument.
_POINTWISE = {F.relu: 1, F.leaky_relu: 2, F.elu: 2, F.silu: 1}
_OPERATORS = (
    *('add', 'radd', 'sub', 'rsub', 'mul', 'rmul', 'truediv', 'rtruediv'),
    *('floordiv', 'rfloordiv', 'mod', 'rmod', 'pow', 'rpow', 'matmul', 'rmatmul'),
    *('and', 'rand', 'or', 'ror', 'xor', 'rxor', 'neg', 'pos', 'abs', 'invert'),
    *('iadd', 'isub', 'imul', 'itruediv', 'ifloordiv', 'imod', 'ipow'),
    *(
        'iand',
        'ior',
        'ixor',
        'eq',
        'ne',
        'lt',
        'le',
        'gt',
        'ge',
        'getitem',
        'setitem',
        'contains',
    ),
    *('len', 'iter', 'reversed', 'bool', 'float', 'int', 'index', 'array'),
)


def _version(tensor: Tensor) -> int:
    """How often a tensor was changed in place."""
    return 0 if tensor.is_inference() else tensor._version


class Rows(Protocol):
    """What knows N and K, and how functions of both kinds of rows are computed."""

    def expand(self, tensor: Tensor) -> Tensor:
        """N rows to N*K; N*K rows stay."""

    def call(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Result of a torch function of tensors of N and of N*K rows."""


class ChannelCat:
    """A concatenation along channels that is not carried out yet.

    A convolution turns it into a tensor by halves, and the common activations act on
    the parts. Everything else that a tensor can do (torch functions, methods,
    operators, indexing, iteration) it does as well: the concatenation is then carried
    out, once, at N*K rows.

    It is no ``torch.Tensor``, and ``isinstance(x, Tensor)`` says so. (einops, which
    asks, is told.) A network that asks, or that hands it to a
    ``torch.autograd.Function`` of its own, needs a tensor:
    :meth:`materialize`, or no sharing at all (``sampling(..., share=False)``).

    Args:
        parts: tensors of N or N*K rows, equal in all but channels.
        forward: the context that knows N and K.

    Raises:
        UserError: at its use: a part was changed in place after the concatenation, or
            gradients are switched off here and were on at the concatenation.
    """

    __slots__ = ('_grad', '_versions', 'forward', 'parts')
    __hash__ = object.__hash__

    def __init__(self, parts: Iterable[Tensor | ChannelCat], forward: Rows):
        self.forward = forward
        self._grad = torch.is_grad_enabled()
        flat = [
            tensor
            for part in parts
            for tensor in (part.checked() if isinstance(part, ChannelCat) else (part,))
        ]
        self._set(flat if self._grad else [tensor.detach() for tensor in flat])
        if 'einops' in sys.modules:
            _tell_einops()

    def _set(self, parts: Sequence[Tensor]) -> None:
        self.parts = tuple(parts)
        self._versions = [_version(part) for part in self.parts]

    def checked(self) -> tuple[Tensor, ...]:
        """The parts, if they still are what was concatenated."""
        versions = [_version(part) for part in self.parts]
        # A single part is carried out: whatever changes it is meant to.
        if len(self.parts) > 1 and versions != self._versions:
            raise UserError(
                'a tensor was changed in place after its concatenation with torch.cat, '
                'and the concatenation was put off: change a copy, or switch sharing '
                'off (sampling(..., share=False))'
            )
        if self._grad and not torch.is_grad_enabled() and self.requires_grad:
            raise UserError(
                'a concatenation of per-input and per-sample rows was made with '
                'gradients and used without, in torch.no_grad() or in an autograd '
                'Function, where its gradients would be lost: use it outside, or '
                'switch sharing off (sampling(..., share=False))'
            )
        return self.parts

    def materialize(self) -> Tensor:
        """Carry the concatenation out: (N*K, C_1 + C_2 + ..., H, W)."""
        parts = self.checked()
        if len(parts) > 1:
            # Kept, so that what changes it in place changes what is used afterwards.
            self._set([torch.cat([self.forward.expand(part) for part in parts], 1)])
        return self.parts[0]

    @property
    def shape(self) -> torch.Size:
        """What it would be after :meth:`materialize`; likewise the other properties."""
        rows = max(part.shape[0] for part in self.parts)
        channels = sum(part.shape[1] for part in self.parts)
        return torch.Size((rows, channels, *self.parts[0].shape[2:]))

    def size(self, dim: int | None = None) -> torch.Size | int:
        """See ``torch.Tensor.size``."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """See ``torch.Tensor.dim``."""
        return len(self.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> torch.dtype:
        return self.parts[0].dtype

    @property
    def device(self) -> torch.device:
        return self.parts[0].device

    @property
    def requires_grad(self) -> bool:
        return any(part.requires_grad for part in self.parts)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name in ChannelCat.__slots__:
            raise AttributeError(name)
        return getattr(self.materialize(), name)

    if TYPE_CHECKING:  # of `_OPERATORS`, below

        def __getitem__(self, index: Any) -> Tensor: ...
        def __iter__(self) -> Iterator[Tensor]: ...

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        cat = args[0] if args else None
        if isinstance(cat, cls) and func in _POINTWISE:
            return cat._activate(func, args[1:], kwargs)
        if isinstance(cat, cls) and func is F.pad and len(args[1]) <= 4:  # of places
            parts = [F.pad(part, *args[1:], **kwargs) for part in cat.checked()]
            return cls(parts, cat.forward)
        if isinstance(cat, cls) and func in _CONVOLUTIONS and len(args) > 1:
            return cat._convolve(func, *args[1:], **kwargs)
        cats = [arg for arg in leaves((args, kwargs)) if isinstance(arg, cls)]
        args, kwargs = map_leaves(
            lambda a: a.materialize() if isinstance(a, cls) else a, (args, kwargs)
        )
        return cats[0].forward.call(func, args, kwargs)

    def _activate(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ChannelCat:
        # The parts belong to the rest of the network as well: never in place there.
        place = _POINTWISE[func] - 1
        inplace = args[place] if len(args) > place else kwargs.get('inplace', False)
        kwargs = {name: v for name, v in kwargs.items() if name != 'inplace'}
        parts = [func(part, *args[:place], **kwargs) for part in self.checked()]
        if not inplace:
            return ChannelCat(parts, self.forward)
        self._set(parts)
        return self

    def _convolve(
        self,
        conv: Callable[..., Tensor],
        weight: Tensor,
        bias: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        # conv([a, b]) = conv_a(a) + conv_b(b)
        groups = args[3] if len(args) > 3 else kwargs.get('groups', 1)
        if groups != 1:
            return conv(self.materialize(), weight, bias, *args, **kwargs)
        parts = self.checked()
        channels = [part.shape[1] for part in parts]
        weights = torch.split(weight, channels, dim=_CONVOLUTIONS[conv])
        total = conv(parts[0], weights[0], bias, *args, **kwargs)
        for part, w in zip(parts[1:], weights[1:], strict=True):
            output = conv(part, w, None, *args, **kwargs)
            total = self.forward.call(torch.add, (total, output), {})
        return total


@functools.cache
def _tell_einops() -> type:
    """Let einops take what is put off for a tensor of PyTorch.

    It finds a backend by the type of what it gets, among all classes of backends whose
    ``framework_name`` is an imported module.
    """
    theirs = importlib.import_module('einops._backends')  # no dependency of ours

    def is_appropriate_type(self: object, tensor: Any) -> bool:
        return isinstance(tensor, ChannelCat)

    own = dict(framework_name=__name__, is_appropriate_type=is_appropriate_type)
    # einops knows it weakly: kept by the cache
    return type('ChannelCatBackend', (theirs.TorchBackend,), own)


def leaves(value: Any) -> Iterator[Any]:
    """What lies in nested tuples, lists and dicts."""
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, dict):
        yield from leaves(list(value.values()))
    else:
        yield value


def map_leaves(function: Callable[[Any], Any], value: Any) -> Any:
    """The same nest of tuples, lists and dicts, of ``function(leaf)``."""
    if isinstance(value, (tuple, list)):
        items = [map_leaves(function, item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return {name: map_leaves(function, item) for name, item in value.items()}
    return function(value)


def _operator(name: str) -> Callable[..., Any]:
    def operator(self: ChannelCat, *args: Any) -> Any:
        return ChannelCat.__torch_function__(
            getattr(Tensor, name), (), (self, *args), {}
        )

    operator.__name__ = name
    return operator


# Python looks operators up on the class: `__getattr__` never sees them.
for _name in _OPERATORS:
    setattr(ChannelCat, f'__{_name}__', _operator(f'__{_name}__'))
