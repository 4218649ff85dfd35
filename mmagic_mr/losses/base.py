"""What every sample loss has: weight, scale, views, and words about what it needs."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from mmagic_mr.checks import checked
from mmagic_mr.errors import UserError
from mmagic_mr.functional import (
    Colors,
    View,
    masked_mean,
    process_mean,
    scale_moments,
    view_moments,
)
from mmagic_mr.functional import views_of as parse_views
from mmagic_mr.functional.checks import check_number, check_samples
from mmagic_mr.networks.features import FEATURE_VIEWS

Weight: TypeAlias = float | Literal['auto']
Views: TypeAlias = Mapping[str, Any] | None


def check_weight(loss_weight: Any) -> float:
    """The weight itself, or an error if it is no number of at least 0.

    Raises:
        UserError: If it is none.
    """
    check_number('loss_weight', loss_weight, 'at least 0', 0)
    number: float = loss_weight
    return number


class SampleLoss(nn.Module):
    """A loss that judges K samples of each input.

    A loss of your own is a subclass with a method ``loss_map(samples, *needed)``, which
    returns a loss per element, (N, C, H, W); this class scales the images, takes their
    views, the mean, inside the mask if there is one, and multiplies by the weights. A
    loss that is no mean of a map defines ``reduced(samples, *needed, mask)`` instead.

    What a loss needs it says by four attributes, of the class or of the instance:

    - ``min_samples``: the least K.
    - ``needs``: what comes after the samples, in this order, of 'target' (the data y),
      'moments' (of a predictor, as `Moments`) and 'noise' (z, by the name of its site).
    - ``distribution``: name of the one whose moments the loss compares, None if none.
      Where ``needs`` has 'moments', the predictor is to be of that distribution.
    - ``every``: updates of the generator from one evaluation to the next.

    Args:
        loss_weight: Factor of the result, at least 0. 'auto': the model sets it, so
            that the gradient of this loss in the samples has the norm of the GAN's
            times the model's ``balance``; by itself it is 1.
        value_scale: Factor of the images before the loss, positive. A weight that was
            found for images in [-1, 1] serves images in [0, 1] with a factor of 2.
        views: What of the images the loss looks at, name to weight; the result is the
            weighted sum of its values in each. 'pixel': the images; 'pool4': averages
            over cells of 4 x 4 (any number); 'diff': differences of neighbors; 'fft':
            Fourier coefficients; 'features': of the trunk of LPIPS (see `Features`).
            None: the pixels.

    Shape:
        samples (N, K, C, H, W); target and moments (N, C, H, W); mask (N, 1, H, W); the
        result is a scalar.

    Raises:
        UserError: When built, on a number out of range or an unknown view; when called,
            on another number of arguments than ``needs`` has, or too few samples.

    Example:
        >>> import torch
        >>> class BestSampleLoss(SampleLoss):
        ...     def loss_map(self, samples, target):
        ...         return (samples - target.unsqueeze(1)).abs().amin(dim=1)
        >>> loss = BestSampleLoss(loss_weight=10.0, views=dict(pixel=1.0, pool4=0.5))
        >>> samples, target = torch.rand(2, 4, 3, 8, 8), torch.ones(2, 3, 8, 8)
        >>> loss(samples + 1, target, mask=torch.ones(2, 1, 8, 8)).shape
        torch.Size([])
    """

    min_samples: int = 1
    needs: tuple[str, ...] = ('target',)
    distribution: str | None = None
    every: int = 1
    auto_weight: Tensor

    @checked
    def __init__(
        self, loss_weight: Weight = 1.0, value_scale: float = 1.0, views: Views = None
    ) -> None:
        super().__init__()
        check_number('value_scale', value_scale, 'positive', 0, ends=False)
        self.loss_weight: Weight = loss_weight
        if loss_weight == 'auto':
            self.register_buffer('auto_weight', torch.zeros((), dtype=torch.float64))
        else:
            check_weight(loss_weight)
        self.value_scale = value_scale
        self.views = parse_views(views, FEATURE_VIEWS)
        self.told_colors(Colors())

    def told_colors(self, colors: Colors) -> None:
        """Hear what the values of the images mean; the model says it when it is built.

        Without a model they count as RGB in [-1, 1].
        """
        for view, _ in self.views:
            view.told_colors(colors.scaled(self.value_scale))

    @property
    def weight(self) -> float | Tensor:
        """The factor of the result now; a tensor for 'auto', 1 where it was not set."""
        if self.loss_weight == 'auto':
            return torch.where(self.auto_weight > 0, self.auto_weight, 1.0)
        return self.loss_weight

    def forward(
        self, samples: Tensor, *needed: Any, mask: Tensor | None = None
    ) -> Tensor:
        """Weighted sum over the views of the reduced loss in each: a scalar."""
        samples, needed = self.scaled(samples, needed)
        terms = [
            weight * self._in_view(view, samples, needed, mask)
            for view, weight in self.views
        ]
        total: Tensor = torch.stack(terms).sum() if len(terms) > 1 else terms[0]
        weighted: Tensor = self.weight * total
        return weighted.to(total.dtype)

    def reduced(
        self, samples: Tensor, *needed: Any, mask: Tensor | None = None
    ) -> Tensor:
        """The loss in one view, without its weight: a scalar.

        Args:
            samples: Scaled, in the view; float32 or float64.
            needed: What ``needs`` names, likewise.
            mask: 1 where the view lies inside; None: everywhere.

        Shape:
            (N, K, C, H, W) of the view; mask (N, 1, H, W).
        """
        return masked_mean(self.loss_map(samples, *needed), mask)

    def loss_map(self, *args: Any, **kwargs: Any) -> Tensor:
        """Loss per element of samples and what is needed, in one view.

        Shape:
            samples (N, K, C, H, W) and what ``needs`` names to (N, C, H, W).
        """
        raise NotImplementedError(
            f'{type(self).__name__} must define loss_map(samples, *needed) or reduced'
        )

    def scaled(
        self, samples: Tensor, needed: Sequence[Any]
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """Arguments of ``forward``, checked and multiplied by ``value_scale``.

        Samples come out in float32 (float64 stays); noise is not scaled.

        Raises:
            UserError: On another number of arguments than ``needs`` has, or a K below
                ``min_samples``.
        """
        name, scale = type(self).__name__, self.value_scale
        if len(needed) != len(self.needs):
            more = ''.join(f', then {need}' for need in self.needs)
            raise UserError(
                f'{name} is called with the samples{more} '
                f'(and mask=...), got {len(needed)} arguments after the samples.'
            )
        samples = check_samples(samples, self.min_samples, name)
        if scale == 1:
            return samples, tuple(needed)
        of_kind = zip(self.needs, needed, strict=True)
        return scale * samples, tuple(self._scale(*pair) for pair in of_kind)

    def _scale(self, kind: str, value: Any) -> Any:
        if kind == 'moments':
            return scale_moments(value, self.value_scale, self.distribution)
        return self.value_scale * value if kind == 'target' else value

    def _in_view(
        self, view: View, samples: Tensor, needed: Sequence[Any], mask: Tensor | None
    ) -> Tensor:
        share: Tensor | float = 1.0
        if mask is not None and not view.local:
            # Outside of the mask there is nothing to see where samples equal the data
            given = dict(zip(self.needs, needed, strict=True))
            if 'target' not in given:
                raise UserError(
                    f'{type(self).__name__}: the view {view.name!r} sees the whole '
                    'image, and there is no target to fill it outside the mask: leave '
                    'the view out'
                )
            target = given['target'].to(samples.dtype).unsqueeze(1)
            samples = torch.where(mask.unsqueeze(1) > 0, samples, target)
            share = process_mean(mask.to(samples.dtype).mean())
            share, mask = torch.where(share > 0, share, 1), None
        seen = [
            self._seen(view, *pair) for pair in zip(self.needs, needed, strict=True)
        ]
        mask = None if mask is None else view.of_mask(mask)
        return self.reduced(view.of_samples(samples), *seen, mask=mask) / share

    def _seen(self, view: View, kind: str, value: Any) -> Any:
        if kind == 'moments':
            return view_moments(value, view.name)
        return view(value) if kind == 'target' else value

    def extra_repr(self) -> str:
        text = f'loss_weight={self.loss_weight!r}'
        views = {view.name: weight for view, weight in self.views}
        if self.value_scale != 1:
            text += f', value_scale={self.value_scale}'
        return text if views == {'pixel': 1.0} else f'{text}, views={views}'
