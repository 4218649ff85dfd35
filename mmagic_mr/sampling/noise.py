"""Noise: its kinds, and the weights that take it in."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmagic_mr.errors import UserError

NOISE_TYPES = ('gaussian', 'uniform', 'bernoulli', 'categorical')


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


class NoiseInput(nn.Module):
    """The z half of a convolution whose input is [h, z].

    Args:
        conv: the host's convolution, the h half.
        channels: number of channels of z.
        noise_type: see :func:`draw_noise`.
        site: name of ``conv`` in its generator.

    The weights start with the standard deviation of the host's own, as if the
    convolution had been made for [h, z] at once.

    Raises:
        UserError: a convolution with groups.

    Shape:
        (rows, channels, H, W) to what ``conv`` gives for (rows, its channels, H, W).
    """

    def __init__(
        self,
        conv: nn.Conv2d | nn.ConvTranspose2d,
        channels: int,
        noise_type: str,
        site: str,
    ):
        super().__init__()
        if conv.groups != 1:
            raise UserError(
                f'noise site {site!r} is a convolution with {conv.groups} groups; '
                'only groups=1 can take noise: choose another one'
            )
        self.channels = channels
        self.noise_type = noise_type
        self.site = site
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
        nn.init.normal_(self.conv.weight, std=float(conv.weight.detach().std()))

    def forward(self, z: Tensor) -> Tensor:
        output: Tensor = self.conv(z.to(self.conv.weight))
        return output
