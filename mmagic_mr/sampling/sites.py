"""Noise for any generator: z concatenated to the input of named convolutions.

A convolution of a concatenation is a sum, conv([h, z]) = conv(h) + conv_z(z). So the
noise is *added* to the output of the host's convolution, by a convolution of its own
(``<name>.noise``), and the host's parameters keep their names and shapes: released
checkpoints load, with only the noise weights missing.

Reference: Lee, Ha, Kim, "Harmonizing Maximum Likelihood with GANs for Multimodal
Conditional Generation", ICLR 2019, appendix B (where the noise enters).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from torch import Tensor, nn

from mmagic_mr.errors import UserError
from mmagic_mr.sampling.channel_cat import leaves
from mmagic_mr.sampling.draw import Drawing, current_drawing
from mmagic_mr.sampling.noise import EXTENTS, NOISE_INITS, NOISE_TYPES, NoiseInput

Sites: TypeAlias = Mapping[str, int]
Preset: TypeAlias = Sites | Callable[[nn.Module], Sites]
_KEYS = ('sites', 'preset', 'type', 'extent')


def add_noise_sites(
    generator: nn.Module,
    noise: str | Mapping[str, Any],
    presets: Mapping[str, Preset] = MappingProxyType({}),
    init: str = 'host',
) -> list[str]:
    """Give named convolutions of a generator a noise input.

    Args:
        generator: any network made of ``Conv2d`` and ``ConvTranspose2d``.
        noise: name of one of the ``presets``, or
            ``dict(sites={'<regex of module names>': channels, ...}, type='gaussian',
            extent='map')``, with ``preset='<name>'`` in place of ``sites`` for those of
            a preset. A regex matches the whole name. Types: see
            :func:`~mmagic_mr.sampling.noise.draw_noise`. Extents: ``'map'``, a z for
            each place, as in the paper; ``'global'``, one vector for the whole image,
            the same at all places of all sites. That one is called ``'global'`` where
            noise is given or kept by name, and its shape is (N, K, C, 1, 1).
        presets: the host's own, by name: sites, or what makes them of the generator.
        init: the weights of the noise, ``'host'``, as the convolution's own, or
            ``'zero'``: the answers are at first those of the network without noise.

    Returns:
        The names of the convolutions, in the order of the network's modules.

    Raises:
        UserError: unknown preset, key, noise type, extent or init, no sites, a number
            of channels that is none, or not the same at all sites of global noise, a
            pattern that matches no convolution (near names are listed), or a
            convolution that is matched twice, has noise already, or has groups (the
            nearest one that can take noise is named).

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 3, 3))
        >>> add_noise_sites(net, dict(sites={'2': 4}))
        ['2']
        >>> [name for name, _ in net.named_parameters()]
        ['0.weight', '0.bias', '2.weight', '2.bias', '2.noise.conv.weight']

    Reference:
        ``'global'``: Alet et al., "Skillful joint probabilistic weather forecasting
        from marginals", 2025.
    """
    patterns, noise_type, extent = _read(generator, noise, presets)
    convolutions = {
        name: module
        for name, module in generator.named_modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
    }
    if init not in NOISE_INITS:
        near = _near(str(init), NOISE_INITS)
        raise UserError(f'noise init must be one of {NOISE_INITS}, got {init!r}{near}')
    sites = _match(patterns, convolutions, type(generator).__name__)
    _check_groups(sites, convolutions)
    if extent == 'global':
        _check_channels(sites)
    inputs = {
        name: NoiseInput(convolutions[name], channels, noise_type, name, extent, init)
        for name, channels in sites.items()
    }
    for name, noise_input in inputs.items():
        convolutions[name].noise = noise_input
        convolutions[name].register_forward_hook(_add_noise)
    if extent == 'global':
        generator.register_forward_pre_hook(_begin_alone, with_kwargs=True)
        generator.register_forward_hook(_end_alone, always_call=True)
    return [name for name in convolutions if name in sites]


def _add_noise(conv: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    """Forward hook of a noise site."""
    noise = conv.noise
    assert isinstance(noise, NoiseInput)
    if isinstance(output, (tuple, list)) and output:
        # Of partial convolutions, for one: the features come first, then a mask.
        first, *rest = output
        return type(output)([_add_noise(conv, args, first), *rest])
    if not isinstance(output, Tensor):
        raise UserError(
            f'noise site {noise.site!r} is a {type(conv).__name__}, which returns '
            f'{type(output).__name__}, and noise is added to a tensor, or to the first '
            'of a tuple: choose another convolution'
        )
    drawing = current_drawing() or Drawing(output.shape[0], 1)
    size = args[0].shape[-2:]
    if noise.extent == 'global':
        z = drawing.z_everywhere(noise.site, noise.noise_type, noise.channels, output)
    else:
        z = drawing.z(noise.site, noise.noise_type, noise.channels, size, output)
    # By the rule of `sharing` where rows are shared.
    noisy: Tensor = output + noise(z, size)
    return noisy


class _Alone(Drawing):
    """Of a call outside of `sampling`: all sites of the network get the same z."""

    def __init__(self, network: nn.Module, rows: int):
        super().__init__(rows, 1)
        self.network = network


def _begin_alone(
    network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Forward pre-hook of a network with global noise."""
    if current_drawing() is None:
        inputs = [
            v for v in leaves((args, kwargs)) if isinstance(v, Tensor) and v.dim()
        ]
        if not inputs:
            raise UserError(
                f'{type(network).__name__} has global noise and was called without a '
                'tensor: give it one of a row for each sample'
            )
        _Alone(network, len(inputs[0])).activate()


def _end_alone(network: nn.Module, args: Any, output: Any) -> None:
    """Forward hook of a network with global noise."""
    drawing = current_drawing()
    if isinstance(drawing, _Alone) and drawing.network is network:
        drawing.deactivate()


def _read(
    generator: nn.Module, noise: Any, presets: Mapping[str, Preset]
) -> tuple[Sites, str, str]:
    """Patterns with their channels, type and extent, of what a user wrote."""
    if isinstance(noise, str):
        noise = dict(preset=noise)
    if not isinstance(noise, Mapping):
        raise UserError(
            'noise must be the name of a preset or dict(sites={...}), got '
            f'{type(noise).__name__}'
        )
    for key in noise:
        if key not in _KEYS:
            near = _near(str(key), _KEYS)
            raise UserError(f'unknown key {key!r} in noise=dict(...){near}')
    noise_type, extent = noise.get('type', 'gaussian'), noise.get('extent', 'map')
    sites = _sites(generator, noise, presets)
    if not isinstance(sites, Mapping) or not sites:
        raise UserError(
            "noise needs sites, dict(sites={'<regex of module names>': channels}), "
            f'got sites={sites!r}'
        )
    if noise_type not in NOISE_TYPES:
        near = _near(str(noise_type), NOISE_TYPES)
        raise UserError(
            f'noise type must be one of {NOISE_TYPES}, got {noise_type!r}{near}'
        )
    if extent not in EXTENTS:
        near = _near(str(extent), EXTENTS)
        raise UserError(f'noise extent must be one of {EXTENTS}, got {extent!r}{near}')
    for pattern, channels in sites.items():
        if isinstance(channels, bool) or not isinstance(channels, int) or channels < 1:
            raise UserError(
                f'noise site {pattern!r}: the number of channels must be a positive '
                f'integer, got {channels!r}'
            )
        if noise_type == 'categorical' and channels == 1:
            raise UserError(
                f'noise site {pattern!r}: categorical noise of one channel is always '
                '1: give it at least 2'
            )
    return sites, noise_type, extent


def _sites(
    generator: nn.Module, noise: Mapping[str, Any], presets: Mapping[str, Preset]
) -> Any:
    if 'preset' not in noise:
        return noise.get('sites')
    name = noise['preset']
    if 'sites' in noise:
        raise UserError(
            f'noise has preset={name!r} and sites: give one of them, they both say '
            'where the noise enters'
        )
    if not isinstance(name, str) or name not in presets:
        raise UserError(
            f'unknown noise preset {name!r}; presets here are {sorted(presets)}, '
            'or give dict(sites={...})'
        )
    preset = presets[name]
    return preset(generator) if callable(preset) else preset


def nearest(name: str, names: Sequence[str], able: Container[str]) -> str | None:
    """Of those that are able, the one next to a name in a list; None: there is none.

    Example:
        >>> nearest('b', ['a', 'b', 'c', 'd'], {'c', 'd'})
        'c'
    """
    place = names.index(name)
    others = [i for i, other in enumerate(names) if other in able]
    return names[min(others, key=lambda i: abs(i - place))] if others else None


def _check_groups(
    sites: Mapping[str, int], convolutions: Mapping[str, nn.Conv2d | nn.ConvTranspose2d]
) -> None:
    """Refuse convolutions whose outputs do not see all of their inputs."""
    able = {name for name, conv in convolutions.items() if conv.groups == 1}
    for site in sites:
        if site not in able:
            near = nearest(site, list(convolutions), able)
            raise UserError(
                f'noise site {site!r} is a convolution with '
                f'{convolutions[site].groups} groups; only groups=1 can take noise: '
                + (f'the nearest one is {near!r}' if near else 'this network has none')
            )


def _check_channels(sites: Mapping[str, int]) -> None:
    """Refuse sites that cannot share one vector."""
    first, channels = next(iter(sites.items()))
    for site, others in sites.items():
        if others != channels:
            raise UserError(
                "noise with extent='global' is one vector for all sites, and "
                f'{first!r} has {channels} channels, {site!r} {others}: give all the '
                'same number'
            )


def _match(
    patterns: Sites, convolutions: Mapping[str, nn.Module], network: str
) -> dict[str, int]:
    """Name of a convolution to channels."""
    sites: dict[str, int] = {}
    for pattern, channels in patterns.items():
        try:
            names = [name for name in convolutions if re.fullmatch(pattern, name)]
        except re.error as error:
            raise UserError(
                f'noise site {pattern!r} is no regular expression: {error}'
            ) from None
        if not names:
            near = difflib.get_close_matches(pattern, convolutions, n=5, cutoff=0)
            raise UserError(
                f'noise site {pattern!r} matches no convolution of {network}; '
                f'near names are {near}'
            )
        for name in names:
            if name in sites:
                raise UserError(f'two noise patterns match the convolution {name!r}')
            if hasattr(convolutions[name], 'noise'):
                raise UserError(
                    f'the convolution {name!r} has noise already: give all sites in '
                    'one call'
                )
            sites[name] = channels
    return sites


def _near(word: str, words: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, words, n=1)
    return f' (did you mean {near[0]!r}?)' if near else f'; it has {list(words)}'
