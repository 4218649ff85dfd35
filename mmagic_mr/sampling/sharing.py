"""Compute once per input what the K samples of an input have in common.

A network that gets noise half-way holds two kinds of tensors: *per input* ones
(N rows: all that lies before the noise, and every skip connection from there) and
*per sample* ones (N*K rows). :class:`SharedForward` keeps the first kind at N rows
for as long as possible, in any network, without touching its code:

- arithmetic between the two kinds broadcasts over the samples;
- ``torch.cat([per_input, per_sample], dim=1)`` is put off (:class:`ChannelCat`), and
  the convolution that consumes it is computed in halves, since
  conv([a, b]) = conv_a(a) + conv_b(b).

Values and gradients equal those of the input repeated K times, to rounding: batch
normalisation sees the same mean and variance in both. (Its *running* variance uses
N*H*W/(N*H*W - 1) instead of N*K*H*W/(N*K*H*W - 1) before the noise.)
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_CONVOLUTIONS = {F.conv2d: 1, F.conv_transpose2d: 0}  # weight's input-channel dim
# The functions that MMagic's networks apply between a concatenation and the
# convolution after it, with the position of their `inplace` argument.
_POINTWISE = {F.relu: 1, F.leaky_relu: 2, F.elu: 2, F.silu: 1}
_ARITHMETIC = {
    name: op
    for op, names in {
        torch.add: ('add', 'add_', '__add__', '__iadd__', '__radd__'),
        torch.sub: ('sub', 'sub_', '__sub__', '__isub__'),
        torch.mul: ('mul', 'mul_', '__mul__', '__imul__', '__rmul__'),
    }.items()
    for name in names
}


class SharedForward(TorchFunctionMode):
    """Context in which a network may mix rows per input with rows per sample.

    Args:
        num_inputs: N, rows of a per-input tensor.
        num_samples: K; a per-sample tensor has N*K rows, those of one input next to
            each other.

    Example:
        >>> skip, h = torch.ones(2, 1, 4, 4), torch.ones(6, 1, 4, 4)
        >>> with SharedForward(num_inputs=2, num_samples=3):
        ...     (skip + h).shape
        torch.Size([6, 1, 4, 4])
    """

    def __init__(self, num_inputs: int, num_samples: int):
        super().__init__()
        self.num_inputs = num_inputs
        self.num_samples = num_samples

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.cat and self.num_samples > 1:
            tensors = args[0]
            dim = kwargs.get('dim', args[1] if len(args) > 1 else 0)
            if dim in (1, -3) and self._is_mixed(tensors):
                return ChannelCat(tensors, self)
        elif (
            self.num_samples > 1
            and len(args) == 2
            and getattr(func, '__name__', '') in _ARITHMETIC
            and self._is_mixed(args)
        ):
            return self._broadcast(_ARITHMETIC[func.__name__], *args, **kwargs)
        return func(*args, **kwargs)

    def _is_mixed(self, tensors) -> bool:
        if any(not hasattr(t, 'shape') or len(t.shape) != 4 for t in tensors):
            return False
        rows = {t.shape[0] for t in tensors}
        return rows == {self.num_inputs, self.num_inputs * self.num_samples}

    def _broadcast(self, op, *tensors, **kwargs) -> Tensor:
        parts = [
            t.unsqueeze(1)
            if t.shape[0] == self.num_inputs
            else t.unflatten(0, (self.num_inputs, self.num_samples))
            for t in tensors
        ]
        return op(*parts, **kwargs).flatten(0, 1)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """Sum of two tensors of N or N*K rows each.

        Shape:
            (N or N*K, C, H, W) twice; the larger one is returned.
        """
        return self._broadcast(torch.add, a, b) if self._is_mixed((a, b)) else a + b

    def expand(self, tensor: Tensor) -> Tensor:
        """Repeat the rows of a per-input tensor; a per-sample one stays as it is.

        Shape:
            (N or N*K, ...) to (N*K, ...).
        """
        if tensor.shape[0] == self.num_inputs * self.num_samples:
            return tensor
        return tensor.repeat_interleave(self.num_samples, dim=0)


class ChannelCat:
    """A concatenation along channels that is not carried out yet.

    Pointwise functions act on the parts, a convolution turns it into a tensor. Any
    other use carries the concatenation out (at N*K rows) and goes on with that.

    Args:
        parts: tensors of N or N*K rows.
        forward: the context that knows N and K.
    """

    def __init__(self, parts, forward: SharedForward):
        self.parts = tuple(parts)
        self.forward = forward

    @property
    def shape(self) -> torch.Size:
        rows = max(part.shape[0] for part in self.parts)
        channels = sum(part.shape[1] for part in self.parts)
        return torch.Size((rows, channels, *self.parts[0].shape[2:]))

    def materialize(self) -> Tensor:
        """Carry the concatenation out: (N*K, C_1 + C_2 + ..., H, W)."""
        return torch.cat([self.forward.expand(part) for part in self.parts], 1)

    def __getattr__(self, name):
        if name.startswith('__') or 'parts' not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.materialize(), name)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _POINTWISE:
            cat, *rest = args[: _POINTWISE[func]]
            # The parts belong to the rest of the network as well: never in place.
            kwargs.pop('inplace', None)
            return cls([func(p, *rest, **kwargs) for p in cat.parts], cat.forward)
        if func in _CONVOLUTIONS and isinstance(args[0], cls):
            return cls._convolve(func, *args, **kwargs)
        args = [a.materialize() if isinstance(a, cls) else a for a in args]
        return func(*args, **kwargs)

    @classmethod
    def _convolve(cls, conv, cat, weight, bias=None, *args, **kwargs) -> Tensor:
        groups = args[3] if len(args) > 3 else kwargs.get('groups', 1)
        if groups != 1:
            return conv(cat.materialize(), weight, bias, *args, **kwargs)
        channels = [part.shape[1] for part in cat.parts]
        weights = weight.split(channels, dim=_CONVOLUTIONS[conv])
        total = conv(cat.parts[0], weights[0], bias, *args, **kwargs)
        for part, w in zip(cat.parts[1:], weights[1:], strict=True):
            output = conv(part, w, None, *args, **kwargs)
            total = cat.forward.add(total, output)
        return total
