"""Where noise may enter a network, and what its samples then have in common.

One run of the network says it: which convolutions feed which (so the share of the work
that comes before the noise), and, in the backward pass, which of them the output
depends on at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmagic_mr.errors import UserError
from mmagic_mr.sampling.channel_cat import leaves
from mmagic_mr.sampling.sites import nearest

_ATEN = torch.ops.aten
_CONVOLUTIONS = (_ATEN.convolution, _ATEN._convolution)
# With the place of the first matrix among the arguments.
_MATRIX_PRODUCTS = {_ATEN.mm: 0, _ATEN.bmm: 0, _ATEN.addmm: 1, _ATEN.baddbmm: 1}
_POINTWISE = (
    *(_ATEN.relu, _ATEN.relu_, _ATEN.leaky_relu, _ATEN.leaky_relu_),
    *(_ATEN.elu, _ATEN.elu_, _ATEN.silu, _ATEN.silu_),
)
GROUPS, UNUSED, NO_EFFECT = 'groups', 'not used', 'no effect'


@dataclass(frozen=True)
class Site:
    """A convolution of a network.

    Attributes:
        name: In the network.
        kind: Class.
        size: Channels, height and width of its input; None where it is not reached.
        shared: Share of the network's multiplications that the samples of an input
            have in common with noise here alone.
        obstacle: Why noise here is none: it has ``'groups'``; it is ``'not used'``; or
            it has ``'no effect'``, since what follows is multiplied by zero. None: it
            can take noise.
    """

    name: str
    kind: str
    size: tuple[int, int, int] | None
    shared: float
    obstacle: str | None


@dataclass(frozen=True)
class Listing:
    """The convolutions of a network, in the order in which they are reached.

    Attributes:
        sites: They.
        work: Multiplications, with the convolutions that their inputs depend on, as
            bits in the order of ``sites``.
    """

    sites: tuple[Site, ...]
    work: tuple[tuple[int, float], ...]

    def shared(self, names: Iterable[str]) -> float:
        """Share of the work that the samples have in common with noise at all of these.

        Raises:
            ValueError: There is no such convolution.
        """
        order = [site.name for site in self.sites]
        noisy = sum(1 << order.index(name) for name in set(names))
        return _share(self.work, noisy)

    def able(self) -> list[Site]:
        """Those that can take noise."""
        return [site for site in self.sites if site.obstacle is None]


def list_sites(network: nn.Module, run: Callable[[], Any]) -> Listing:
    """Convolutions of a network, and what K samples share with noise at each.

    The network runs once, forward and backward. What it shares is what
    `mmagic_mr.sampling.sharing` computes once for each input: what does not depend on
    the noise, and the half of a convolution that reads what does not.

    Args:
        network: Any; noise that it has already does not matter.
        run: Calls it on an input of one row, and returns its output.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 1))
        >>> for site in list_sites(net, lambda: net(torch.rand(1, 3, 8, 8))).sites:
        ...     print(site.name, site.size, site.shared, site.obstacle)
        0 (3, 8, 8) 0.5 None
        2 (4, 8, 8) 1.0 None
    """
    convolutions = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
    }
    # The convolution of a noise input is none of the network's.
    own = {n: m for n, m in convolutions.items() if not n.endswith('.noise.conv')}
    flow = _Flow(own)
    noise = [m.weight for n, m in convolutions.items() if n not in own]
    try:
        with torch.enable_grad(), flow.ignoring(noise):
            outputs = [t for t in leaves(run()) if isinstance(t, Tensor)]
    finally:
        flow.remove_hooks()
    reached = list(flow.sizes)
    effective = _effective(outputs, flow.outputs)
    work = tuple(flow.work)
    sites = []
    for name in [*reached, *(n for n in own if n not in flow.sizes)]:
        conv, size = own[name], flow.sizes.get(name)
        bit = 1 << flow.bits[name] if size else 0
        obstacle = None
        if conv.groups != 1:
            obstacle = GROUPS
        elif size is None:
            obstacle = UNUSED
        elif name not in effective:
            obstacle = NO_EFFECT
        shared = _share(work, bit) if size else 1.0
        sites.append(Site(name, type(conv).__name__, size, shared, obstacle))
    return Listing(tuple(sites), work)


def check_effect(listing: Listing, sites: Sequence[str]) -> None:
    """Refuse noise that changes nothing.

    Raises:
        UserError: None of the sites can take noise; names the nearest one that can.
    """
    able = {site.name for site in listing.able()}
    if not able.isdisjoint(sites):
        return
    near = nearest(sites[0], [site.name for site in listing.sites], able)
    raise UserError(
        f'noise at {sites[0]!r} has no effect: the samples are the same, since what '
        'follows is multiplied by zero in a network that was not trained. '
        + (f'The nearest site that acts is {near!r}. ' if near else '')
        + 'Or start from trained weights (load_from=FILE)'
    )


def _share(work: Sequence[tuple[int, float]], noisy: int) -> float:
    total = sum(amount for _, amount in work)
    alike = sum(amount for depends, amount in work if not depends & noisy)
    return alike / total if total else 1.0


def _effective(outputs: list[Tensor], features: dict[str, Tensor]) -> set[str]:
    """Names of what the outputs depend on."""
    outputs = [t for t in outputs if t.requires_grad]
    features = {name: t for name, t in features.items() if t.requires_grad}
    if not outputs or not features:
        return set()
    gradients = torch.autograd.grad(
        outputs,
        list(features.values()),
        [torch.randn_like(t) for t in outputs],
        allow_unused=True,
    )
    return {
        name
        for name, gradient in zip(features, gradients, strict=True)
        if gradient is not None and bool((gradient != 0).any())
    }


class _Flow(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows through a run which convolutions each tensor depends on.

    By storage, so that what is written through a view counts for the whole.
    """

    def __init__(self, convolutions: dict[str, nn.Conv2d | nn.ConvTranspose2d]):
        super().__init__()  # type: ignore[no-untyped-call]
        self.sizes: dict[str, tuple[int, int, int]] = {}
        self.bits: dict[str, int] = {}
        self.outputs: dict[str, Tensor] = {}
        self.work: list[tuple[int, float]] = []
        self._depends: dict[int, int] = {}
        # Of a concatenation along channels: those of its parts.
        self._parts: dict[int, list[tuple[int, int]]] = {}
        self._alive: list[Any] = []  # no storage is freed, and its number used again
        self._ignored: set[int] = set()
        self._handles = []
        for name, conv in convolutions.items():
            self._handles += [
                conv.register_forward_pre_hook(self._enter(name)),
                conv.register_forward_hook(self._leave(name)),
            ]

    def ignoring(self, weights: Iterable[Tensor]) -> _Flow:
        """Itself; convolutions of these weights are no work of the network's."""
        self._ignored = {self._key(weight) for weight in weights}
        return self

    def remove_hooks(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _enter(self, name: str) -> Callable[..., None]:
        def hook(conv: nn.Module, args: tuple[Any, ...]) -> None:
            if name not in self.sizes:
                self.bits[name] = len(self.bits)
                channels, height, width = args[0].shape[1:]
                self.sizes[name] = channels, height, width

        return hook

    def _leave(self, name: str) -> Callable[..., None]:
        def hook(conv: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            features = next(t for t in leaves(output) if isinstance(t, Tensor))
            if not features.requires_grad:
                # Of frozen weights: noise here would have a gradient.
                features.requires_grad_()
            self.outputs[name] = features
            key = self._key(features)
            self._depends[key] = self._depends.get(key, 0) | 1 << self.bits[name]

        return hook

    def _key(self, tensor: Tensor) -> int:
        storage = tensor.untyped_storage()
        self._alive.append(storage)
        return int(storage._cdata)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        inputs = [t for t in leaves((args, kwargs)) if isinstance(t, Tensor)]
        keys = [self._key(t) for t in inputs]
        output = func(*args, **kwargs)
        depends = 0
        for key in keys:
            depends |= self._depends.get(key, 0)
        kind = func.overloadpacket
        self._count(kind, args, output, depends)
        for tensor in leaves(output):
            if isinstance(tensor, Tensor):
                key = self._key(tensor)
                self._depends[key] = self._depends.get(key, 0) | depends
        self._follow_parts(kind, args, kwargs, output)
        return output

    def _count(
        self, kind: Any, args: tuple[Any, ...], output: Any, depends: int
    ) -> None:
        if kind in _CONVOLUTIONS:
            x, weight, transposed, groups = args[0], args[1], args[6], args[8]
            if self._key(weight) in self._ignored:
                return
            places = x if transposed else output
            amount = places[0].numel() / places.shape[1] * weight.numel() * len(places)
            parts = self._parts.get(self._key(x))
            if groups == 1 and parts and x.shape[1] == sum(c for c, _ in parts):
                of_weight = self._depends.get(self._key(weight), 0)
                for channels, of_part in parts:
                    part = amount * channels / x.shape[1]
                    self.work.append((of_part | of_weight, part))
            else:
                self.work.append((depends, amount))
        elif kind in _MATRIX_PRODUCTS:
            first = args[_MATRIX_PRODUCTS[kind]]
            self.work.append((depends, output.numel() * first.shape[-1]))

    def _follow_parts(
        self, kind: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        if kind is _ATEN.cat and output.dim() == 4:
            dim = args[1] if len(args) > 1 else kwargs.get('dim', 0)
            if dim in (1, -3):
                parts: list[tuple[int, int]] = []
                for tensor in args[0]:
                    key = self._key(tensor)
                    own = (tensor.shape[1], self._depends.get(key, 0))
                    parts += self._parts.get(key, [own])
                self._parts[self._key(output)] = parts
        elif kind in _POINTWISE and self._key(args[0]) in self._parts:
            self._parts[self._key(output)] = self._parts[self._key(args[0])]
