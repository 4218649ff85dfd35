"""Keep less for the backward pass: what is cheap is computed again there.

Autograd keeps the input of a normalization, and the output of the activation after it,
which is the input of the next convolution. The second follows from the first in one
pass over memory. :class:`LeanBackward` keeps the first alone, in any network, without
touching its code:

- What a normalization or ``torch.cat`` gives, and the activations of that, is computed
  again from what these were given: the same functions of the same values.
- The input of a convolution whose weights are frozen is not needed at all (PyTorch
  keeps it), and an activation before it needs one byte for the sign of each value.

What is computed again costs no multiplication of matrices.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from mmagic_mr.errors import UserError
from mmagic_mr.sampling.autocast import autocast_now
from mmagic_mr.sampling.channel_cat import leaves, map_leaves

_NORMS = {  # with the argument that says whether the statistics are those of the input
    F.batch_norm: 'training',
    F.instance_norm: 'use_input_stats',
    F.group_norm: None,
    F.layer_norm: None,
}
_CONCATENATIONS = (torch.cat, torch.concat, torch.concatenate)
_ACTIVATIONS = (F.relu, F.leaky_relu, F.elu, F.silu, F.gelu, F.prelu)
_OF_SIGN = (F.relu, F.leaky_relu)  # whose backward pass looks at the sign alone
_CONVOLUTIONS = (F.conv2d, F.conv_transpose2d)
Source: TypeAlias = '_Kept | _Recipe'


class LeanBackward(TorchFunctionMode):
    """Context of a forward pass that keeps less for the backward pass.

    Values are the same to the bit, and so are gradients. Where another
    ``saved_tensors_hooks`` is active outside, it gets what is kept here, once, at the
    end of the context (torch 2.5 or later).

    Raises:
        UserError: In the backward pass, if a tensor that it needs was changed in place.

    Example:
        >>> net = torch.nn.Sequential(
        ...     torch.nn.Conv2d(1, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
        ...     torch.nn.Conv2d(8, 1, 3))
        >>> with LeanBackward():
        ...     loss = net(torch.rand(2, 1, 8, 8)).mean()
        >>> loss.backward()
    """

    def __init__(self) -> None:
        super().__init__()
        self._recipes: MutableMapping[Tensor, _Recipe] = WeakTensorKeyDictionary()
        self._kept: MutableMapping[Tensor, _Kept] = WeakTensorKeyDictionary()
        self._all: weakref.WeakSet[_Kept] = weakref.WeakSet()
        self._fresh: list[_Kept] = []  # of the call that goes on
        self._unneeded: torch.Size | None = None  # of a frozen convolution, likewise
        self._hooks = saved_tensors_hooks(self._pack, lambda packed: packed.value())
        self._outer: Any = None

    def __enter__(self) -> LeanBackward:
        top = getattr(torch._C._autograd, '_top_saved_tensors_default_hooks', None)
        self._outer = top and top(False)
        self._hooks.__enter__()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._hooks.__exit__(*error)
        if self._outer is not None:
            for kept in self._all:
                kept.hand_over(*self._outer)
        # This context and its hooks are in a circle, which is collected some time later
        self._recipes, self._kept = WeakTensorKeyDictionary(), WeakTensorKeyDictionary()
        self._fresh = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        foreign: Any = next((t for t in types if not issubclass(t, Tensor)), None)
        if foreign is not None:  # it calls functions of tensors: to be seen as well
            super().__enter__()  # type: ignore[no-untyped-call]
            try:
                return foreign.__torch_function__(func, types, args, kwargs)
            finally:
                super().__exit__(None, None, None)  # type: ignore[no-untyped-call]
        if not torch.is_grad_enabled():
            return func(*args, **kwargs)
        if func in _CONVOLUTIONS:
            return self._convolve(func, args, kwargs)
        if func in _NORMS or func in _CONCATENATIONS:
            return self._cheap(func, args, kwargs)
        if func in _ACTIVATIONS and args and isinstance(args[0], Tensor):
            if self._recipe(args[0]) is not None:
                return self._cheap(func, args, kwargs)
            output = func(*args, **kwargs)
            kept = self._find_kept(output)
            if kept is not None and func in _OF_SIGN:
                kept.of_sign = True
            return output
        return func(*args, **kwargs)

    def _cheap(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call a function whose result is to be computed again."""
        if not any(isinstance(a, Tensor) and a.requires_grad for a in leaves(args)):
            return func(*args, **kwargs)
        # Before the call: in place, it changes what the sources say of its input.
        recipe = self._write(func, args, kwargs)
        self._fresh = []
        output = func(*args, **kwargs)
        fresh, self._fresh = self._fresh, []
        if isinstance(output, Tensor) and output.requires_grad:
            recipe.version = output._version
            self._recipes[output] = recipe
            for kept in fresh:
                if _is_same(kept.tensor, output):
                    kept.replace(recipe)
        return output

    def _write(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Recipe:
        signature = _signature(func)
        if signature is not None:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = (), dict(bound.arguments)
        if 'inplace' in kwargs:
            kwargs['inplace'] = False
        switch = _NORMS.get(func)
        if switch is not None:  # running statistics change until the backward pass
            for name in 'running_mean', 'running_var':
                now = kwargs[name]
                of_input = kwargs[switch] or now is None
                kwargs[name] = None if of_input else now.detach().clone()
        device = next(a for a in leaves((args, kwargs)) if isinstance(a, Tensor)).device
        arguments = map_leaves(
            lambda a: self._source(a) if isinstance(a, Tensor) else a, (args, kwargs)
        )
        return _Recipe(func, arguments, device)

    def _convolve(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        x, weight = args[0], args[1] if len(args) > 1 else kwargs['weight']
        if weight.requires_grad or not x.requires_grad or weight.shape == x.shape:
            return func(*args, **kwargs)
        self._unneeded = x.shape
        try:
            output = func(*args, **kwargs)
        finally:
            self._unneeded = None
        kept = self._find_kept(x)
        if kept is not None and kept.of_sign and kept.users == 1:
            kept.keep_sign()
            del self._kept[x]
        return output

    def _recipe(self, tensor: Tensor) -> _Recipe | None:
        recipe = self._recipes.get(tensor)
        return recipe if recipe and recipe.version == tensor._version else None

    def _find_kept(self, tensor: Tensor) -> _Kept | None:
        kept = self._kept.get(tensor)
        return kept if kept and kept.version == tensor._version else None

    def _source(self, tensor: Tensor) -> Source:
        recipe = self._recipe(tensor)
        if recipe is not None:
            return recipe
        kept = self._find_kept(tensor)
        if kept is None:
            kept = self._kept[tensor] = _Kept(tensor)
            self._all.add(kept)
        kept.users += 1
        return kept

    def _pack(self, tensor: Tensor) -> Source | _Shape:
        if tensor.shape == self._unneeded:
            return _Shape(tensor)
        source = self._source(tensor)
        if isinstance(source, _Recipe):
            source.users += 1
        else:
            self._fresh.append(source)
        return source


class _Shape:
    """In place of a tensor whose values nobody reads."""

    def __init__(self, tensor: Tensor):
        self.size, self.stride = tensor.shape, tensor.stride()
        self.kind = dict(dtype=tensor.dtype, device=tensor.device)

    def value(self) -> Tensor:
        return torch.empty_strided(self.size, self.stride, **self.kind)  # type: ignore


class _Kept:
    """A tensor that is kept, or its sign, or, once that is known, a recipe for it."""

    def __init__(self, tensor: Tensor):
        self.tensor: Any = tensor.detach()
        self.version = tensor._version
        self.users = 0  # nodes of the graph, and recipes
        self.of_sign = False
        self._signed: torch.dtype | None = None
        self._recipe: _Recipe | None = None
        self._unpack: Callable[[Any], Tensor] | None = None

    def replace(self, recipe: _Recipe) -> None:
        self._recipe, self.tensor = recipe, None
        recipe.users += self.users

    def keep_sign(self) -> None:
        self._signed, self.tensor = self.tensor.dtype, self.tensor > 0

    def hand_over(
        self, pack: Callable[[Tensor], Any], unpack: Callable[[Any], Tensor]
    ) -> None:
        if self._recipe is None:
            self.tensor, self._unpack = pack(self.tensor), unpack

    def value(self) -> Tensor:
        if self._recipe is not None:
            return self._recipe.value()
        tensor: Tensor = self._unpack(self.tensor) if self._unpack else self.tensor
        if self._signed is not None:
            return tensor.to(self._signed).mul_(2).sub_(1)
        if self._unpack is None and tensor._version != self.version:
            raise UserError(
                f'a tensor of shape {tuple(tensor.shape)} was changed in place after '
                'the forward pass, and its backward pass needs what it was: change a '
                'copy'
            )
        return tensor

    current = value


class _Recipe:
    """How a tensor is computed again."""

    def __init__(self, func: Callable[..., Any], arguments: Any, device: torch.device):
        self.func, self.arguments = func, arguments
        self.version, self.users = 0, 0
        self._autocast = autocast_now(device)
        self._value: Tensor | None = None
        self._asked = 0

    def value(self) -> Tensor:
        """For a node of the graph; kept until the last of them has asked."""
        value = self._value = self.current()
        self._asked += 1
        if self._asked >= self.users:
            self._value, self._asked = None, 0
        return value

    def current(self) -> Tensor:
        if self._value is not None:
            return self._value
        with torch.no_grad(), self._autocast():
            args, kwargs = map_leaves(
                lambda a: a.current() if isinstance(a, (_Kept, _Recipe)) else a,
                self.arguments,
            )
            result: Tensor = self.func(*args, **kwargs)
        return result


@functools.cache
def _signature(func: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(func)
    except ValueError:  # of a function that is not written in Python
        return None


def _is_same(tensor: Tensor | None, other: Tensor) -> bool:
    """Whether two tensors are one, under two names."""
    return (
        tensor is not None
        and tensor.untyped_storage()._cdata == other.untyped_storage()._cdata
        and tensor.storage_offset() == other.storage_offset()
        and tensor.shape == other.shape
        and tensor.stride() == other.stride()
    )
