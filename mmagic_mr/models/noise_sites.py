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

# Of MMagic's configs, those of the table in docs/noise_sites.md.
STOCK = (
    'pix2pix/pix2pix_vanilla-unet-bn_1xb1-80kiters_facades',
    'cyclegan/cyclegan_lsgan-resnet-in_1xb1-80kiters_facades',
    'srgan_resnet/srgan_x4c64b16_1xb16-1000k_div2k',
    'esrgan/esrgan_x4c64b23g32_1xb16-400k_div2k',
    'edsr/edsr_x4c64b16_1xb16-300k_div2k',
    'rdn/rdn_x4c64b16_1xb16-1000k_div2k',
    'srcnn/srcnn_x4k915_1xb16-1000k_div2k',
    'swinir/swinir_x4s48w8d6e180_8xb4-lr2e-4-500k_div2k',
    'restormer/restormer_official_dfwb-color-sigma25',
    'nafnet/nafnet_c64eb2248mb12db2222_8xb8-lr1e-3-400k_sidd',
    'global_local/gl_8xb12_places-256x256',
    'deepfillv2/deepfillv2_8xb2_places-256x256',
    'aot_gan/aot-gan_smpgan_4xb4_places-512x512',
    'partial_conv/pconv_stage1_8xb12_places-256x256',
    'deblurganv2/deblurganv2_fpn-mobilenet_1xb1_gopro',
    'glean/glean_x8_2xb8_cat',
)
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


def as_text(found: Survey, every: bool = False) -> str:
    """What `survey` found, a line for each place of a convolution in its blocks.

    Args:
        found: Of `survey`.
        every: A line for each convolution instead.
    """
    groups: dict[tuple[str, str | None], list[Site]] = {}
    for site in found.listing.sites:
        name = site.name if every else pattern_of(site.name)
        groups.setdefault((name, site.obstacle), []).append(site)
    suggested = found.suggested()
    rows = [('convolution', 'number', 'input', 'shared', '')]
    for (name, obstacle), sites in groups.items():
        marks = [obstacle] if obstacle else []
        names = {site.name for site in sites}
        marks += [f'preset {p!r}' for p, of in found.presets.items() if names & {*of}]
        marks += ['suggested'] * bool(names.intersection(suggested))
        ends = sites[0], sites[-1]
        sizes = dict.fromkeys(_size(s) for s in ends)
        shares = dict.fromkeys(f'{100 * s.shared:.0f}%' for s in ends)
        share = ' to '.join(shares) if sites[0].size else ''
        size = ' to '.join(sizes)
        rows.append((name, str(len(sites)), size, share, ', '.join(marks)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        '  '.join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    head = f'{found.network}, input of {found.side}x{found.side}. "shared": what K '
    head += 'samples have in common,\nof the multiplications, with noise there alone.\n'
    return '\n'.join([head, *lines, '', *_choices(found)])


def _choices(found: Survey) -> Iterator[str]:
    share = found.listing.shared
    for name, sites in found.presets.items():
        yield f'noise={name!r}: {len(sites)} sites, shared {100 * share(sites):.0f}%'
    if not found.suggestion:
        yield 'No convolution here can take noise.'
        return
    sites = found.suggested()
    yield (
        f'Suggested: noise=dict(sites={dict(found.suggestion)!r}): {len(sites)} sites, '
        f'shared {100 * share(sites):.0f}%'
    )


def _size(site: Site) -> str:
    if site.size is None:
        return ''
    channels, height, width = site.size
    return f'{channels}x{height}x{width}'


def as_markdown(surveys: Mapping[str, Survey]) -> str:
    """A table with a row for each generator: by config, what `survey` found."""
    heads = [
        'generator',
        'config of MMagic',
        'input',
        'convolutions',
        'that can take noise',
        'others',
        'sites: preset, or else suggested',
        'number',
        'input of the first',
        'shared',
    ]
    lines = [f'| {" | ".join(heads)} |', '|---' * len(heads) + '|']
    for config, found in surveys.items():
        sites = {site.name: site for site in found.listing.sites}
        others = Counter(s.obstacle for s in sites.values() if s.obstacle)
        if found.presets:
            preset, names = next(iter(found.presets.items()))
            where = f'preset `{preset!r}`'
        else:
            where = ', '.join(f'`{p}`' for p in found.suggestion)
            names = found.suggested()
        cells = [
            found.network,
            f'`{config.split("/")[0]}`',
            f'{found.side}x{found.side}',
            str(len(sites)),
            str(len(found.listing.able())),
            ', '.join(f'{count} {why}' for why, count in others.items()),
            where,
            str(len(names)),
            _size(sites[names[0]]) if names else '',
            f'{100 * found.listing.shared(names):.0f}%' if names else '',
        ]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)
