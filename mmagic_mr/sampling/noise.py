"""Noise: its kinds, and the weights that take it in."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmagic_mr.errors import UserError

NOISE_TYPES = ('gaussian', 'uniform', 'bernoulli', 'categorical')
# A z for each place of each site, or one vector for the image, the same at all sites.
EXTENTS = ('map', 'global')
NOISE_INITS = ('host', 'zero')  # of the weights
GLOBAL = 'global'  # the name of that vector, where others have that of their site


def draw_noise(
    noise_type: str,
    shape: Sequence[int],
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw z.

    Args:
        noise_type: ``'gaussian'`` N(0, 1), ``'uniform'`` [0, 1), ``'bernoulli'``
            {0, 1} with probability 1/2, ``'categorical'`` one-hot over the channels.
        shape: (..., C, H, W).
        generator: source of randomness, on ``device``; None takes torch's default one.
        device: where z is drawn; None: torch's default device.

    Returns:
        z, float32.

    Raises:
        UserError: unknown ``noise_type``.

    Reference:
        The four types of the authors' published code.

    Example:
        >>> z = draw_noise('categorical', (5, 3, 2, 2))
        >>> bool((z.sum(dim=-3) == 1).all())
        True
    """
    if noise_type == 'gaussian':
        return torch.randn(shape, generator=generator, device=device)
    if noise_type == 'uniform':
        return torch.rand(shape, generator=generator, device=device)
    if noise_type == 'bernoulli':
        return torch.randint(2, shape, generator=generator, device=device).float()
    if noise_type == 'categorical':
        places = (*shape[:-3], *shape[-2:])
        index = torch.randint(shape[-3], places, generator=generator, device=device)
        one_hot = nn.functional.one_hot(index, shape[-3]).float()
        return one_hot.movedim(-1, -3)
    raise UserError(f'noise type must be one of {NOISE_TYPES}, got {noise_type!r}')


def noise_mean(noise_type: str, channels: int) -> float:
    """The mean of `draw_noise` at every number of z.

    Example:
        >>> noise_mean('gaussian', 4), noise_mean('categorical', 4)
        (0.0, 0.25)
    """
    if noise_type == 'categorical':
        return 1 / channels
    return 0.0 if noise_type == 'gaussian' else 0.5


class NoiseInput(nn.Module):
    """The z half of a convolution whose input is [h, z].

    Args:
        conv: the host's convolution, the h half.
        channels: number of channels of z.
        noise_type: see :func:`draw_noise`.
        site: name of ``conv`` in its generator.
        extent: ``'map'``, a z for each place; ``'global'``, one for all places.
        init: ``'host'``: the weights start with the standard deviation of the host's
            own, as if the convolution had been made for [h, z] at once. ``'zero'``:
            at 0, and the answers of a trained network stay what they were.

    Shape:
        (rows, channels, H, W), or with ``extent='global'`` (rows, channels, 1, 1), to
        what ``conv`` gives for (rows, its channels, H, W).
    """

    def __init__(
        self,
        conv: nn.Conv2d | nn.ConvTranspose2d,
        channels: int,
        noise_type: str,
        site: str,
        extent: str = 'map',
        init: str = 'host',
    ):
        super().__init__()
        self.channels = channels
        self.noise_type = noise_type
        self.site = site
        self.extent = extent
        self.init = init
        geometry: dict[str, Any] = dict(
            stride=conv.stride,
            padding=conv.padding,
            dilation=conv.dilation,
            bias=False,
            padding_mode=conv.padding_mode,
        )
        kind: type[nn.Conv2d] | type[nn.ConvTranspose2d] = nn.Conv2d
        if isinstance(conv, nn.ConvTranspose2d):
            kind, geometry['output_padding'] = nn.ConvTranspose2d, conv.output_padding
        size: Any = conv.kernel_size
        self.conv = kind(channels, conv.out_channels, size, **geometry)
        std = 0.0 if init == 'zero' else float(conv.weight.detach().std())
        nn.init.normal_(self.conv.weight, std=std)

    def reset(self) -> None:
        """To zero again, where an initialization of the whole network came between."""
        if self.init == 'zero':
            nn.init.zeros_(self.conv.weight)

    def forward(self, z: Tensor, size: Sequence[int]) -> Tensor:
        """What is added to the output of the host's convolution.

        Args:
            z: the noise.
            size: height and width of the input of that convolution.
        """
        z = z.to(self.conv.weight)
        if self.extent == 'map':
            output: Tensor = self.conv(z)
            return output
        return constant_convolution(self.conv, z, size)


def constant_convolution(
    conv: nn.Conv2d | nn.ConvTranspose2d, z: Tensor, size: Sequence[int]
) -> Tensor:
    """``conv(z.expand(-1, -1, *size))``, without the map.

    Where the input is the same everywhere, an output is a sum of the taps of the kernel
    that do not fall on the padding. Which these are is known for rows and columns
    apart: with U and V, of zeros and ones, the output is U^T (W z) V. It takes k
    multiplications for each output, where the map takes C k^2.

    Args:
        conv: without bias and groups.
        z: a vector for each row.
        size: height and width of the map.

    Shape:
        (rows, C, 1, 1) to (rows, C', H', W').

    Example:
        >>> conv, z = nn.Conv2d(2, 3, 4, 2, 1, bias=False), torch.rand(5, 2, 1, 1)
        >>> output = constant_convolution(conv, z, (8, 6))
        >>> torch.allclose(output, conv(z.expand(-1, -1, 8, 6)), atol=1e-6)
        True
    """
    transposed = isinstance(conv, nn.ConvTranspose2d)
    places = 'rc,coab->roab' if transposed else 'rc,ocab->roab'
    taps = torch.einsum(places, z.flatten(1), conv.weight)
    rows, columns = (_reached(conv, i, size[i], z).to(taps) for i in (0, 1))
    return rows.T @ taps @ columns


def _reached(
    conv: nn.Conv2d | nn.ConvTranspose2d, axis: int, length: int, like: Tensor
) -> Tensor:
    """1 where a tap of the kernel meets the input, by output place along an axis.

    Shape:
        (kernel size, output places)
    """
    size = conv.kernel_size[axis]
    each_tap = torch.eye(size, dtype=like.dtype, device=like.device)
    line = each_tap.new_ones(1, 1, length)
    stride, dilation = conv.stride[axis], conv.dilation[axis]
    padding = conv.padding if isinstance(conv.padding, str) else conv.padding[axis]
    if isinstance(conv, nn.ConvTranspose2d):
        assert not isinstance(padding, str)
        more = conv.output_padding[axis]
        return F.conv_transpose1d(
            line, each_tap[None], None, stride, padding, more, 1, dilation
        )[0]
    reached = F.conv1d(line, each_tap[:, None], None, stride, padding, dilation)[0]
    # Any other padding continues the map: no tap falls on anything else.
    return reached if conv.padding_mode == 'zeros' else torch.ones_like(reached)
