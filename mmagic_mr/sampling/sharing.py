"""Compute once per input what the K samples of an input have in common.

A network that gets noise half-way holds two kinds of tensors: *per input* ones
(N rows: all that lies before the noise, and every skip connection from there) and
*per sample* ones (N*K rows). :class:`SharedForward` keeps the first kind at N rows
for as long as possible, in any network, without touching its code.

The rule. PyTorch's own comes first: a function that takes its arguments as they are
runs as it is, so a weight that happens to have N rows is never touched. A function that
would refuse them, because tensors of N and of N*K rows meet in it, of any rank:

- arithmetic and comparisons broadcast over the samples;
- ``torch.cat([per_input, per_sample], dim=1)`` of images is put off
  (:class:`~mmagic_mr.sampling.channel_cat.ChannelCat`), and the convolution that
  consumes it is computed in halves, since conv([a, b]) = conv_a(a) + conv_b(b);
- anything else runs on N*K rows, the per-input tensors repeated (an ``nn.Parameter``
  is none);
- a batch size of the other kind in ``view`` and ``reshape`` (read off another tensor,
  as style codes are cut to the rows of the image) becomes that of the tensor, or the
  tensor is repeated;
- in place (``h += skip``, ``out=``) likewise, if it is a per-sample tensor that
  changes. A per-input one would need more rows: an error.

Gathering and scattering, which PyTorch would cut to the fewer rows without a word, run
on N*K rows as well; a concatenation along the rows themselves is an error.

Values and gradients equal those of the input repeated K times, to rounding: batch
normalization sees the same mean and variance in both. (Its *running* variance uses
N*H*W/(N*H*W - 1) instead of N*K*H*W/(N*K*H*W - 1) before the noise.) What the
rule does not cover: dropout before the noise, which is the same for the K samples of an
input; rows folded with other dimensions (windows of attention, say) that meet.
``sampling(..., share=False)`` does without all this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mmagic_mr.errors import UserError
from mmagic_mr.sampling.channel_cat import ChannelCat, leaves, map_leaves
from mmagic_mr.sampling.recompute import Carried
from mmagic_mr.sampling.row_sum import add_rows

_CONCATENATIONS = (torch.cat, torch.concat, torch.concatenate)
_ELEMENTWISE = frozenset(
    spelling
    for name in (
        *('add', 'sub', 'subtract', 'rsub', 'mul', 'multiply', 'div', 'divide'),
        *('true_divide', 'truediv', 'floor_divide', 'floordiv', 'remainder', 'fmod'),
        *('mod', 'pow', 'float_power', 'maximum', 'minimum', 'max', 'min', 'fmax'),
        *('fmin', 'clamp', 'clip', 'where', 'lerp', 'addcmul', 'addcdiv', 'atan2'),
        *('hypot', 'eq', 'ne', 'lt', 'le', 'gt', 'ge', 'logical_and', 'logical_or'),
        *('logical_xor', 'and', 'or', 'xor', 'bitwise_and', 'bitwise_or'),
    )
    for spelling in (name, f'__{name}__', f'__r{name}__')
)
# PyTorch takes tensors of different rows here: it uses the first few alone, or warns.
_REPEATED = frozenset(
    (
        *('gather', 'scatter', 'scatter_add', 'scatter_reduce', 'masked_scatter'),
        *('scatter_', 'scatter_add_', 'scatter_reduce_', 'masked_scatter_'),
        *('mse_loss', 'l1_loss', 'smooth_l1_loss', 'huber_loss'),
    )
)
_RESHAPES = ('view', 'reshape')
_SUMS = ('add', '__add__', '__radd__')
_REFUSALS = (RuntimeError, ValueError, IndexError)


class SharedForward(TorchFunctionMode, Carried):
    """Context in which a network may mix rows per input with rows per sample.

    Args:
        num_inputs: N, rows of a per-input tensor.
        num_samples: K; a per-sample tensor has N*K rows, those of one input next to
            each other.

    Raises:
        UserError: in the context, where a per-input tensor is changed in place by a
            per-sample one, or the two are concatenated along the rows.

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
        self._met = False  # whether there are rows per sample by now

    def __enter__(self) -> SharedForward:
        self.activate()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self.deactivate()

    def snapshot(self) -> Callable[[], AbstractContextManager[Any]]:
        return lambda: self

    def expand(self, tensor: Tensor) -> Tensor:
        """Repeat the rows of a per-input tensor; a per-sample one stays as it is.

        Raises:
            UserError: it has neither N nor N*K rows.

        Shape:
            (N or N*K, ...) to (N*K, ...).
        """
        rows = tensor.shape[0]
        if rows == self.num_inputs * self.num_samples:
            return tensor
        if rows != self.num_inputs:
            raise UserError(
                f'a tensor of {rows} rows belongs neither to the {self.num_inputs} '
                f'inputs nor to their {self.num_samples} samples each'
            )
        return tensor.repeat_interleave(self.num_samples, dim=0)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return self.call(func, args, kwargs or {})

    def call(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Result of a torch function, by the rule of this module."""
        if self.num_samples == 1:
            return func(*args, **kwargs)
        name = getattr(func, '__name__', '')
        if 'out' not in kwargs:
            if func in _CONCATENATIONS:
                cat = self._put_off(*args, **kwargs)
                if cat is not None:
                    return cat
            elif name in _ELEMENTWISE:
                rank = max((t.dim() for t in _tensors((args, kwargs))), default=0)
                if self._is_mixed((args, kwargs), rank):
                    if name in _SUMS and not kwargs and _alike(args):
                        return add_rows(*sorted(args, key=len))
                    parts = self._with_samples((args, kwargs), rank)
                    return func(*parts[0], **parts[1]).flatten(0, 1)
        if name in _RESHAPES and self._met and not kwargs:
            return func(*self._own_rows(*args))
        if name in _REPEATED and self._is_mixed((args, kwargs)):
            return self._repeat(func, args, kwargs)
        try:
            return func(*args, **kwargs)
        except UserError:
            raise
        except _REFUSALS:
            if not self._is_mixed((args, kwargs)):
                raise
            # What cannot run on repeated rows either is refused with those.
            return self._repeat(func, args, kwargs)

    def _is_mixed(self, arguments: Any, rank: int | None = None) -> bool:
        """Whether tensors (of this rank alone, if given) of both kinds are there."""
        rows = {
            tensor.shape[0]
            for tensor in _tensors(arguments)
            if tensor.dim() == (rank or tensor.dim())
        }
        mixed = {self.num_inputs, self.num_inputs * self.num_samples} <= rows
        self._met |= mixed
        return mixed

    def _own_rows(self, tensor: Tensor, *sizes: Any) -> tuple[Any, ...]:
        """Arguments of a reshape, with the rows that its tensor has.

        What PyTorch refuses is mended, and what it takes with a -1 for channels would
        hold the samples of an input side by side in them.
        """
        given = sizes
        if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
            sizes = tuple(sizes[0])
        n, samples = self.num_inputs, self.num_inputs * self.num_samples
        if sizes and _may_have_rows(tensor) and sizes[0] in (n, samples):
            rows, count = len(tensor), math.prod(sizes)
            # (1, -1, H, W): into the channels, for a convolution with a group a row.
            fold = sizes[:2] == (1, -1) and sizes[2:] == tensor.shape[2:]
            unlike = count != tensor.numel() and not fold
            if rows == samples and sizes[0] == n and unlike:
                return tensor, samples, *sizes[1:]
            if rows == n and count == tensor.numel() * self.num_samples:
                return self.expand(tensor), *sizes
        return tensor, *given

    def _with_samples(self, arguments: Any, rank: int) -> Any:
        """N rows to (N, 1, ...), N*K rows to (N, K, ...)."""

        def split(value: Any) -> Any:
            if not _may_have_rows(value) or value.dim() != rank:
                return value
            if value.shape[0] == self.num_inputs:
                return value.unsqueeze(1)
            if value.shape[0] == self.num_inputs * self.num_samples:
                return value.unflatten(0, (self.num_inputs, self.num_samples))
            return value

        return map_leaves(split, arguments)

    def _repeat(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run on N*K rows; what is changed in place stays itself."""
        for target in _targets(func, args, kwargs):
            if target.shape[:1] == (self.num_inputs,):
                raise UserError(
                    f'{getattr(func, "__name__", func)} would change a tensor of '
                    f'{self.num_inputs} rows, one for each input, in place by one of '
                    f'{self.num_inputs * self.num_samples} rows, one for each sample: '
                    'write h = h + skip in place of h += skip, or switch sharing off '
                    '(sampling(..., share=False))'
                )

        def repeat(value: Any) -> Any:
            if _may_have_rows(value) and len(value) == self.num_inputs:
                return self.expand(value)
            return value

        args, kwargs = map_leaves(repeat, (args, kwargs))
        return func(*args, **kwargs)

    def _put_off(self, tensors: Any, dim: int = 0, **kwargs: Any) -> ChannelCat | None:
        """A concatenation that waits; None: of another kind, to be carried out."""
        dim = kwargs.get('axis', dim)
        parts = list(tensors)
        if not any(isinstance(part, ChannelCat) for part in parts):
            if not self._is_mixed(parts):
                return None
            if parts[0].dim() > 1 and dim in (0, -parts[0].dim()):
                raise UserError(
                    f'a concatenation along the rows of tensors of {self.num_inputs} '
                    f'rows, one for each input, and of '
                    f'{self.num_inputs * self.num_samples}, one for each sample, is '
                    'ambiguous: switch sharing off '
                    '(sampling(..., share=False))'
                )
        images = {(part.dtype, *part.shape[2:]) for part in parts}
        alike = len(images) == 1 and all(len(part.shape) == 4 for part in parts)
        rows = {part.shape[0] for part in parts}
        known = rows <= {self.num_inputs, self.num_inputs * self.num_samples}
        return ChannelCat(parts, self) if alike and known and dim in (1, -3) else None


def _may_have_rows(value: Any) -> bool:
    # A weight may happen to have N rows; it is no activation.
    return (
        isinstance(value, Tensor)
        and not isinstance(value, nn.Parameter)
        and value.dim() > 0
    )


def _alike(values: tuple[Any, ...]) -> bool:
    """Whether these are two tensors that differ in their rows alone."""
    if len(values) != 2 or not all(map(_may_have_rows, values)):
        return False
    a, b = values
    return bool(a.dtype == b.dtype and a.dim() > 1 and a.shape[1:] == b.shape[1:])


def _tensors(arguments: Any) -> list[Tensor]:
    return [value for value in leaves(arguments) if _may_have_rows(value)]


def _targets(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Tensor]:
    """The tensors that a torch function changes in place."""
    name = getattr(func, '__name__', '')
    in_place = name.endswith('_') and not name.endswith('__')
    if in_place or name == '__setitem__' or kwargs.get('inplace') is True:
        return _tensors(args[0] if args else kwargs.get('input'))
    return _tensors(kwargs.get('out'))
