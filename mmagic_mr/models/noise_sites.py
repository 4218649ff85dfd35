"""Which convolutions of a config's generator can take noise, and where it would go."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmagic_mr.errors import UserError
from mmagic_mr.host import MODELS, eval_mode
from mmagic_mr.models.base import Host
from mmagic_mr.sampling import Listing, Site, list_sites

SIDES = (32, 64, 128, 256, 512)  # the first that a network takes


@dataclass(frozen=True)
class Survey:
    """What `survey` found.

    Attributes:
        network: Class of the generator.
        side: Of the input.
        listing: Its convolutions.
        presets: Of the host, those that fit: name to convolutions.
        suggestion: Where noise would go: pattern to channels.
    """

    network: str
    side: int
    listing: Listing
    presets: Mapping[str, list[str]]
    suggestion: Mapping[str, int]

    def suggested(self) -> list[str]:
        """Convolutions of the suggestion."""
        return _matched(self.suggestion, [s.name for s in self.listing.able()])


def survey(model: Mapping, side: int | None = None) -> Survey:
    """Build the generator of a config's model, and look where noise can enter.

    It runs once on a random image, with the weights that it starts with.

    Args:
        model: ``cfg.model``, of one of our hosts or of a class of MMagic's own.
        side: Of the image; None: 32, or the first power of 2 above that it takes.

    Raises:
        UserError: The model has no generator, or it takes no image of this side.
    """
    config = model.get('generator') or model.get('encdec')
    if config is None:
        raise UserError(
            f'{model.get("type")} has no generator or encdec that takes an image: the '
            f'model has {sorted(model)}'
        )
    network = MODELS.build(config)
    sides = (side,) if side else (getattr(network, 'in_size', None),)
    if sides == (None,):
        sides = SIDES
    for chosen in sides:
        try:
            listing = _look(network, chosen)
            break
        except (RuntimeError, ValueError, AssertionError) as error:
            reason = ' '.join(str(error).split())[:200]
    else:
        raise UserError(
            f'{type(network).__name__} takes no image of {sides[-1]}x{sides[-1]} '
            f'({reason}): give another --size'
        )
    names = [site.name for site in listing.able()]
    presets = {}
    for name, preset in _presets(model.get('type')).items():
        sites = preset(network) if callable(preset) else preset
        if all(_matched({pattern: 1}, names) for pattern in sites) and sites:
            presets[name] = _matched(sites, names)
    return Survey(type(network).__name__, chosen, listing, presets, suggest(listing))


def _look(network: nn.Module, side: int) -> Listing:
    first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    inputs = [torch.rand(1, first.in_channels, side, side)]
    if first.in_channels == 5:  # DeepFill: image, ones, mask
        inputs[0][:, 3:] = torch.stack([torch.ones(side, side), _hole(side)])
    parameters = list(inspect.signature(network.forward).parameters)
    if parameters[1:2] and parameters[1].startswith('mask'):  # partial convolutions
        inputs.append((1 - _hole(side)).expand_as(inputs[0]).clone())
    with eval_mode(network):
        return list_sites(network, lambda: network(*inputs))


def _hole(side: int) -> Tensor:
    mask = torch.zeros(side, side)
    mask[side // 4 : side // 2, side // 4 : side // 2] = 1
    return mask


def _presets(kind: str | None) -> Mapping:
    """Of our host of this name, or on the class of MMagic of this name."""
    cls = MODELS.get(kind) if isinstance(kind, str) else kind
    for host in (cls, *_hosts(Host)):
        if host is cls and hasattr(cls, 'noise_presets'):
            return cls.noise_presets
        if cls is not None and getattr(host, 'mmagic_class', None) is cls:
            return host.noise_presets
    return {}


def _hosts(cls: type) -> Iterator[type]:
    for host in cls.__subclasses__():
        yield host
        yield from _hosts(host)


def _matched(patterns, names: list[str]) -> list[str]:
    return [n for n in names if any(re.fullmatch(p, n) for p in patterns)]


def pattern_of(name: str) -> str:
    r"""A pattern of a convolution and of those in its place in other blocks.

    Example:
        >>> pattern_of('body.3.conv1')
        'body\\.\\d+\\.conv1'
    """
    *blocks, last = name.split('.')
    parts = [re.sub(r'\d+', r'\\d+', block) for block in blocks]
    return r'\.'.join([*parts, re.escape(last)])


def suggest(listing: Listing) -> dict[str, int]:
    """Where noise would go first, as ``sites`` of ``noise``.

    What a network does at a small part of its input's size decides on the whole
    picture: three convolutions there, from the first on, as the paper has it for
    Pix2Pix and inpainting. Where a network never becomes small, what is open are
    textures: the input of each of its blocks, as there for super-resolution.

    Args:
        listing: Of `list_sites`.

    Example:
        >>> net = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(3)))
        >>> suggest(list_sites(net, lambda: net(torch.rand(1, 3, 8, 8))))
        {'0': 16}
    """
    able = listing.able()
    if not able:
        return {}
    areas = [_area(site) for site in able]
    smallest = min(areas)
    if 12 * smallest <= areas[0]:  # a quarter of the sides, but for what is padded
        start = next(i for i, area in enumerate(areas) if area <= 2 * smallest)
        low = [site for site in able[start:] if _area(site) <= 16 * smallest]
        return {re.escape(site.name): 32 for site in low[:3]}
    groups = Counter(pattern_of(site.name) for site in able)
    return {groups.most_common(1)[0][0]: 16}  # the first of the largest


def _area(site: Site) -> int:
    return site.size[1] * site.size[2] if site.size else 0
