"""Views: what of an image a loss looks at, beside the pixels themselves.

A loss of single pixels sees nothing of how neighbors go together: samples whose pixels
are drawn independently of each other are as good to it as true ones. The same loss of
averages over cells, of differences of neighbors or of Fourier coefficients does see it.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from mmagic_mr.errors import UserError
from mmagic_mr.functional.checks import check_number
from mmagic_mr.functional.reduction import patch_mask


class Colors(NamedTuple):
    """What the values of images mean: a value v is the level ``std v + mean``.

    Args:
        mean, std: In 0..255, one number or one for each channel. By default images are
            in [-1, 1].
        rgb: The order of the channels; otherwise BGR.
    """

    mean: Sequence[float] = (127.5,)
    std: Sequence[float] = (127.5,)
    rgb: bool = True

    def scaled(self, factor: float) -> 'Colors':
        """The same of images that are multiplied by a factor."""
        return self._replace(std=[std / factor for std in self.std])

    def to_rgb(self, images: Tensor) -> Tensor:
        """RGB in [0, 1], nothing clipped.

        Example:
            >>> Colors().to_rgb(torch.full((1, 3, 1, 1), -1.0)).flatten()
            tensor([0., 0., 0.])
        """
        # Filled there: a tensor from here would have to wait for the device
        mean, std = (
            torch.stack([images.new_full((1, 1), number) for number in value])
            for value in (self.mean, self.std)
        )
        levels = (images * std + mean) / 255
        return levels if self.rgb else levels.flip(-3)


class View(ABC):
    """A map from images to something of the same rank.

    Attributes:
        name: As in ``views=dict(<name>=<weight>)``.
        linear: Whether the view of a mean is the mean of the views.
        local: Whether each place of the view is of a few places of the image, so that
            a mask has a counterpart in the view. What is not local is to be called
            with images that agree outside the mask.
    """

    name: str
    linear: ClassVar[bool] = True
    local: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """The view of images.

        Shape:
            (N, C, H, W) to (N, C', H', W').
        """

    def told_colors(self, colors: Colors) -> None:  # noqa: B027
        """Hear what the values of the images mean; most views need not know."""

    def of_mask(self, mask: Tensor) -> Tensor:
        """Where the view lies wholly inside a mask.

        Shape:
            (N, 1, H, W) to (N, 1, H', W').
        """
        raise UserError(f'the view {self.name!r} sees the whole image: no mask fits it')

    def of_map(self, values: Tensor) -> Tensor:
        """Numbers at the places of the view, of numbers at the pixels: their average.

        Shape:
            (N, C, H, W) to (N, C, H', W').
        """
        raise UserError(f'the view {self.name!r} has no places that belong to pixels')

    def of_samples(self, samples: Tensor) -> Tensor:
        """The view of K samples per input.

        Shape:
            (N, K, C, H, W) to (N, K, C', H', W').
        """
        seen = self(samples.flatten(0, 1))
        return seen.view(*samples.shape[:2], *seen.shape[1:])


class Pixel(View):
    """The images themselves."""

    name = 'pixel'

    def __call__(self, images: Tensor) -> Tensor:
        return images

    def of_mask(self, mask: Tensor) -> Tensor:
        return mask

    def of_map(self, values: Tensor) -> Tensor:
        return values

    def of_samples(self, samples: Tensor) -> Tensor:
        return samples


class Pool(View):
    """Averages over cells that do not overlap; what is left at the border is not seen.

    Args:
        side: Of a cell, in pixels.
    """

    def __init__(self, side: int) -> None:
        self.name, self.side = f'pool{side}', side

    def __call__(self, images: Tensor) -> Tensor:
        if self.side > min(images.shape[-2:]):
            raise UserError(
                f'the view {self.name!r} has cells of {self.side} x {self.side}, and '
                f'the images are {images.shape[-2]} x {images.shape[-1]}: take a '
                'smaller one'
            )
        return F.avg_pool2d(images, self.side)

    def of_mask(self, mask: Tensor) -> Tensor:
        return patch_mask(mask, self.side, self.side)

    def of_map(self, values: Tensor) -> Tensor:
        return self(values)


class Difference(View):
    """Differences of neighbors.

    Args:
        axis: 'x', along rows, or 'y', along columns.
    """

    def __init__(self, axis: str) -> None:
        self.name, self.dim = f'diff_{axis}', {'x': -1, 'y': -2}[axis]

    def _neighbors(self, images: Tensor) -> tuple[Tensor, Tensor]:
        length = images.shape[self.dim]
        if length < 2:
            raise UserError(
                f'the view {self.name!r} needs neighbors, and the images are '
                f'{images.shape[-2]} x {images.shape[-1]}'
            )
        later = images.narrow(self.dim, 1, length - 1)
        return later, images.narrow(self.dim, 0, length - 1)

    def __call__(self, images: Tensor) -> Tensor:
        self._neighbors(images)
        apply: Callable[..., Tensor] = _Diff.apply
        return apply(images, self.dim)

    def of_mask(self, mask: Tensor) -> Tensor:
        return torch.minimum(*self._neighbors(mask))

    def of_map(self, values: Tensor) -> Tensor:
        later, earlier = self._neighbors(values)
        return (later + earlier) / 2


class _Diff(torch.autograd.Function):
    """Later less earlier; autograd's own gradient takes four images more."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, dim: int) -> Tensor:
        ctx.dim, ctx.length = dim, images.shape[dim]
        later = images.narrow(dim, 1, ctx.length - 1)
        return later - images.narrow(dim, 0, ctx.length - 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        shape = list(grad.shape)
        shape[ctx.dim] = ctx.length
        result = grad.new_empty(shape)
        result.narrow(ctx.dim, 0, 1).zero_()
        result.narrow(ctx.dim, 1, ctx.length - 1).copy_(grad)
        result.narrow(ctx.dim, 0, ctx.length - 1).sub_(grad)
        return result, None


class Fourier(View):
    """Real and imaginary parts of the Fourier coefficients, as channels.

    Scaled so that the squares sum to those of the pixels (twice, for the half of the
    coefficients that a real image needs).
    """

    name = 'fft'
    local = False

    def __call__(self, images: Tensor) -> Tensor:
        found = torch.fft.rfft2(images, norm='ortho')
        return torch.cat([found.real, found.imag], dim=-3)


def _pool(name: str) -> list[View]:
    side = int(name.removeprefix('pool'))
    if side < 2:
        raise UserError(f'the view {name!r} is the pixels themselves: take "pixel"')
    return [Pool(side)]


# Pattern of names -> the views of such a name, which share its weight.
Makers: TypeAlias = Mapping[str, Callable[[str], Sequence[View]]]
VIEWS: Makers = {
    'pixel': lambda name: [Pixel()],
    r'pool\d+': _pool,
    'diff': lambda name: [Difference('x'), Difference('y')],
    'diff_[xy]': lambda name: [Difference(name[-1])],
    'fft': lambda name: [Fourier()],
}


def views_of(
    views: Mapping[str, Any] | None, more: Makers = MappingProxyType({})
) -> list[tuple[View, float]]:
    """The views of a config, with their weights.

    Args:
        views: Name to weight, positive: 'pixel', 'pool4' (averages over cells of 4 x 4;
            any number), 'diff' (differences of neighbors: 'diff_x' and 'diff_y', half
            the weight each), 'fft'. None: the pixels alone.
        more: Makers of further views, as in `VIEWS`.

    Raises:
        UserError: On an unknown name, a weight out of range, or no view at all.

    Example:
        >>> [(view.name, weight) for view, weight in views_of(dict(pixel=1, diff=1.0))]
        [('pixel', 1.0), ('diff_x', 0.5), ('diff_y', 0.5)]
    """
    if views is None:
        views = {'pixel': 1.0}
    if not isinstance(views, Mapping) or not views:
        raise UserError(
            f'views must be dict(<name>=<weight>, ...), such as dict(pixel=1.0, '
            f'pool4=1.0), got {views!r}'
        )
    found: list[tuple[View, float]] = []
    for name, weight in views.items():
        check_number(
            f'views: the weight of {name!r}', weight, 'positive', 0, ends=False
        )
        known = {**VIEWS, **more}.items()
        makers = [make for p, make in known if re.fullmatch(p, str(name))]
        if not makers:
            raise UserError(
                f'views: there is no view {name!r}; there are pixel, pool4 (cells of '
                '4 x 4; any number), diff, diff_x, diff_y, fft and, for losses, '
                'features, features1 to features5'
            )
        made = makers[0](str(name))
        found += [(view, float(weight) / len(made)) for view in made]
    return found
