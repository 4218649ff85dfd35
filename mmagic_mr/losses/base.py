"""What every sample loss has: a weight, a scale, and words about what it needs."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mmagic_mr.checks import checked
from mmagic_mr.errors import UserError
from mmagic_mr.functional import masked_mean, scale_moments
from mmagic_mr.functional.checks import check_number, check_samples


def check_weight(loss_weight: float) -> float:
    """The weight itself, or an error if it is no number of at least 0.

    Raises:
        UserError: If it is none.
    """
    check_number('loss_weight', loss_weight, 'at least 0', 0)
    return loss_weight


class SampleLoss(nn.Module):
    """A loss that judges K samples of each input.

    A loss of your own is a subclass with a method ``loss_map(samples, *needed)``, which
    returns a loss per element, (N, C, H, W); this class scales the images, takes the
    mean, inside the mask if there is one, and multiplies by the weight. A loss whose
    map has other places than the images, or that adapts something, defines
    ``forward(samples, *needed, mask=None)`` instead, see `scaled`.

    What a loss needs it says by four attributes, of the class or of the instance:

    - ``min_samples``: the least K.
    - ``needs``: what comes after the samples, in this order, of 'target' (the data y),
      'moments' (of a predictor, as `Moments`) and 'noise' (z, by the name of its site).
    - ``distribution``: name of the one whose moments the loss compares, None if none.
      Where ``needs`` has 'moments', the predictor is to be of that distribution.
    - ``every``: updates of the generator from one evaluation to the next.

    Args:
        loss_weight: Factor of the result, at least 0.
        value_scale: Factor of the images before the loss, positive. A weight that was
            found for images in [-1, 1] serves images in [0, 1] with a factor of 2.

    Shape:
        samples (N, K, C, H, W); target and moments (N, C, H, W); mask (N, 1, H, W); the
        result is a scalar.

    Raises:
        UserError: When built, on a number out of range; when called, on another number
            of arguments than ``needs`` has, or too few samples.

    Example:
        >>> import torch
        >>> class BestSampleLoss(SampleLoss):
        ...     def loss_map(self, samples, target):
        ...         return (samples - target.unsqueeze(1)).abs().amin(dim=1)
        >>> loss = BestSampleLoss(loss_weight=10.0)
        >>> samples, target = torch.rand(2, 4, 3, 8, 8), torch.ones(2, 3, 8, 8)
        >>> loss(samples + 1, target, mask=torch.ones(2, 1, 8, 8)).shape
        torch.Size([])
    """

    min_samples: int = 1
    needs: tuple[str, ...] = ('target',)
    distribution: str | None = None
    every: int = 1

    @checked
    def __init__(self, loss_weight: float = 1.0, value_scale: float = 1.0) -> None:
        super().__init__()
        check_number('value_scale', value_scale, 'positive', 0, ends=False)
        self.loss_weight = check_weight(loss_weight)
        self.value_scale = value_scale

    def forward(
        self, samples: Tensor, *needed: Any, mask: Tensor | None = None
    ) -> Tensor:
        """Weighted mean of the loss map, inside the mask: a scalar."""
        samples, needed = self.scaled(samples, needed)
        return self.loss_weight * masked_mean(self.loss_map(samples, *needed), mask)

    def loss_map(self, *args: Any, **kwargs: Any) -> Tensor:
        """Loss per element of samples and what is needed, both scaled.

        Shape:
            samples (N, K, C, H, W) and what ``needs`` names to (N, C, H, W).
        """
        raise NotImplementedError(
            f'{type(self).__name__} must define loss_map(samples, *needed) or forward'
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
            raise UserError(
                f'{name} is called with the samples, then {", ".join(self.needs)} '
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

    def extra_repr(self) -> str:
        scale = '' if self.value_scale == 1 else f', value_scale={self.value_scale}'
        return f'loss_weight={self.loss_weight}{scale}'
