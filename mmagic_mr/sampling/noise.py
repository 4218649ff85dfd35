"""Noise for any generator: z concatenated to the input of named convolutions.

A convolution of a concatenation is a sum, conv([h, z]) = conv(h) + conv_z(z). So the
noise is *added* to the output of the host's convolution, by a convolution of its own
(``<name>.noise``), and the host's parameters keep their names and shapes: released
checkpoints load, with only the noise weights missing.

Reference: Lee, Ha, Kim, "Harmonizing Maximum Likelihood with GANs for Multimodal
Conditional Generation", ICLR 2019, appendix B (where the noise enters).
"""

import difflib
import re
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from mmagic_mr.sampling.sharing import SharedForward

NOISE_TYPES = ('gaussian', 'uniform', 'bernoulli', 'categorical')


def draw_noise(noise_type: str, shape, generator=None, device=None) -> Tensor:
    """Draw z.

    Args:
        noise_type: ``'gaussian'`` N(0, 1), ``'uniform'`` [0, 1), ``'bernoulli'``
            {0, 1} with probability 1/2, ``'categorical'`` one-hot over the channels.
        shape: (..., C, H, W).
        generator: source of randomness, on ``device``; None takes torch's default one.

    Returns:
        z, float32.

    Raises:
        ValueError: unknown ``noise_type``.

    Reference:
        The four types of the authors' published code.

    Example:
        >>> z = draw_noise('categorical', (5, 3, 2, 2))
        >>> bool((z.sum(dim=-3) == 1).all())
        True
    """
    options = dict(generator=generator, device=device)
    if noise_type == 'gaussian':
        return torch.randn(shape, **options)
    if noise_type == 'uniform':
        return torch.rand(shape, **options)
    if noise_type == 'bernoulli':
        return torch.randint(2, shape, **options).float()
    if noise_type == 'categorical':
        index = torch.randint(shape[-3], (*shape[:-3], *shape[-2:]), **options)
        one_hot = nn.functional.one_hot(index, shape[-3]).float()
        return one_hot.movedim(-1, -3)
    raise ValueError(f'noise type must be one of {NOISE_TYPES}, got {noise_type!r}')


def _pix2pix_sites(generator: nn.Module) -> dict:
    """The three innermost decoder convolutions: 1x1, 2x2, 4x4 at 256x256."""
    decoder = [
        name
        for name, module in generator.named_modules()
        if isinstance(module, nn.ConvTranspose2d)
    ]
    return {f'{re.escape(name)}': 32 for name in decoder[:3]}


# Where the paper puts the noise (thesis, appendix B), on MMagic's networks.
PRESETS = {
    'pix2pix': _pix2pix_sites,
    'srgan': lambda generator: {r'trunk_net\.\d+\.conv1': 16},
    'glcic': lambda generator: {
        r'encoder\.enc6\.conv': 32,
        r'dilation_neck\.dilation_convs\.[01]\.conv': 32,
    },
}


class NoiseInput(nn.Module):
    """The z half of a convolution whose input is [h, z].

    Args:
        conv: the host's convolution, the h half.
        channels: number of channels of z.
        noise_type: see :func:`draw_noise`.
        site: name of ``conv`` in its generator.

    The weights start with the standard deviation of the host's own, as if the
    convolution had been made for [h, z] at once.
    """

    def __init__(self, conv: nn.Module, channels: int, noise_type: str, site: str):
        super().__init__()
        if conv.groups != 1:
            raise ValueError(
                f'noise site {site!r} is a convolution with '
                f'{conv.groups} groups; only groups=1 can take noise'
            )
        self.channels = channels
        self.noise_type = noise_type
        self.site = site
        geometry = dict(
            stride=conv.stride,
            padding=conv.padding,
            dilation=conv.dilation,
            bias=False,
            padding_mode=conv.padding_mode,
        )
        if isinstance(conv, nn.ConvTranspose2d):
            kind, geometry['output_padding'] = nn.ConvTranspose2d, conv.output_padding
        else:
            kind = nn.Conv2d
        self.conv = kind(channels, conv.out_channels, conv.kernel_size, **geometry)
        nn.init.normal_(self.conv.weight, std=float(conv.weight.detach().std()))

    def forward(self, z: Tensor) -> Tensor:
        return self.conv(z.to(self.conv.weight))


class _Draw:
    """One call of a generator: how many rows, and where its z comes from."""

    def __init__(
        self, num_inputs, num_samples, z=None, seeds=None, seed_device=None, keep=None
    ):
        self.num_inputs, self.num_samples = num_inputs, num_samples
        self.shared = SharedForward(num_inputs, num_samples)
        self.z = z
        self.keep = keep
        self.generators = (
            None
            if seeds is None
            else [torch.Generator(seed_device).manual_seed(seed) for seed in seeds]
        )

    def __call__(self, noise: NoiseInput, like: Tensor, size) -> Tensor:
        shape = (self.num_samples, noise.channels, *size)
        if self.z is not None:
            z = self._given(noise.site, shape)
        elif self.generators is not None:
            z = torch.stack(
                [
                    draw_noise(noise.noise_type, shape, g, g.device)
                    for g in self.generators
                ]
            )
        else:
            z = draw_noise(
                noise.noise_type, (self.num_inputs, *shape), device=like.device
            )
        z = z.to(like.device)
        if self.keep is not None:
            self.keep[noise.site] = z
        return z.flatten(0, 1)

    def _given(self, site, shape):
        expected = (self.num_inputs, *shape)
        if site not in self.z:
            raise ValueError(
                f'z lacks the noise site {site!r}; it has {sorted(self.z)}'
            )
        if tuple(self.z[site].shape) != expected:
            raise ValueError(
                f'z[{site!r}] has shape {tuple(self.z[site].shape)}, '
                f'expected (N, K, C, H, W) = {expected}'
            )
        return self.z[site]


_current_draw: ContextVar = ContextVar('current_draw', default=None)


def _add_noise(conv: nn.Module, args: tuple, output: Tensor) -> Tensor:
    """Forward hook of a noise site."""
    draw = _current_draw.get() or _Draw(output.shape[0], 1)
    z = draw(conv.noise, output, args[0].shape[-2:])
    return draw.shared.add(output, conv.noise(z))


def add_noise_sites(generator: nn.Module, noise) -> list:
    """Give named convolutions of a generator a noise input.

    Args:
        generator: any network made of ``Conv2d`` and ``ConvTranspose2d``.
        noise: name of a preset (``'pix2pix'``, ``'srgan'``, ``'glcic'``), or
            ``dict(sites={'<regex of module names>': channels, ...}, type='gaussian')``
            (types: see :func:`draw_noise`). A regex matches the whole name.

    Returns:
        The names of the convolutions, in the order of the network's modules.

    Raises:
        ValueError: unknown preset or noise type, a pattern that matches no
            convolution (near names are listed), or one convolution matched twice.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 3, 3))
        >>> add_noise_sites(net, dict(sites={'2': 4}))
        ['2']
        >>> [name for name, _ in net.named_parameters()]
        ['0.weight', '0.bias', '2.weight', '2.bias', '2.noise.conv.weight']
    """
    if isinstance(noise, str):
        if noise not in PRESETS:
            raise ValueError(
                f'unknown noise preset {noise!r}; presets are '
                f'{sorted(PRESETS)}, or give dict(sites={{...}})'
            )
        noise = dict(sites=PRESETS[noise](generator))
    noise_type = noise.get('type', 'gaussian')
    if noise_type not in NOISE_TYPES:
        raise ValueError(f'noise type must be one of {NOISE_TYPES}, got {noise_type!r}')
    convolutions = {
        name: module
        for name, module in generator.named_modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
    }
    sites = {}
    for pattern, channels in noise['sites'].items():
        names = [name for name in convolutions if re.fullmatch(pattern, name)]
        if not names:
            near = difflib.get_close_matches(pattern, convolutions, n=5, cutoff=0)
            raise ValueError(
                f'noise site {pattern!r} matches no convolution of '
                f'{type(generator).__name__}; near names are {near}'
            )
        for name in names:
            if name in sites:
                raise ValueError(f'two noise patterns match the convolution {name!r}')
            sites[name] = channels
    for name, channels in sites.items():
        conv = convolutions[name]
        conv.noise = NoiseInput(conv, channels, noise_type, name)
        conv.register_forward_hook(_add_noise)
    return [name for name in convolutions if name in sites]


@contextmanager
def sampling(num_inputs: int, num_samples: int, **source):
    """Context in which a generator with noise maps N inputs to N*K samples.

    Args:
        num_inputs: N, rows of the input.
        num_samples: K; the K samples of an input are next to each other.
        source: at most one of ``z`` (dict from site name to (N, K, C, H, W)) and
            ``seeds`` (N integers, with ``seed_device``, where the numbers are drawn):
            an input's samples then depend on its seed alone, not on its batch.
            Without one, z is fresh. ``keep``: a dict that gets the z that was used.
    """
    draw = _Draw(num_inputs, num_samples, **source)
    token = _current_draw.set(draw)
    try:
        with draw.shared:
            yield draw.shared
    finally:
        _current_draw.reset(token)
