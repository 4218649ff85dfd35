"""The variogram score as a loss."""

from typing import Any

import torch
from torch import Tensor

from mmagic_mr.checks import checked
from mmagic_mr.errors import UserError
from mmagic_mr.functional import masked_mean, neighbors, variogram_score
from mmagic_mr.functional.checks import check_number
from mmagic_mr.functional.variogram import check_offset
from mmagic_mr.losses.base import SampleLoss, Views, Weight


class VariogramScoreLoss(SampleLoss):
    """Variogram score of K samples: how much neighbors differ.

    Computes ``loss_weight`` times the mean of `functional.variogram_score`, which has
    the equations, over the pairs of neighbors, and over the offsets. It is blind to the
    mean and to the sign: only beside another loss, such as `CRPSLoss`.

    With a mask, a pair counts where both of it lie inside.

    Args:
        p: Power of the differences, positive.
        offsets: Rows and columns from an element to its neighbor, one or more; rows at
            least 0. The default: next to each other, and below.
        fair: Whether the loss is fair: the plain one prefers, with p = 0.5, 0.71, 0.84
            and 0.93 times the variance of Gaussian data for K = 2, 4 and 10.
        loss_weight, value_scale, views: See `SampleLoss`. The neighbors are of the
            view.

    Shape:
        samples (N, K, C, H, W); target (N, C, H, W); mask (N, 1, H, W); the result is a
        scalar.

    Raises:
        UserError: On a number out of range; when called, on K < 2 or an offset that
            leads out of the images.

    Reference:
        Scheuerer and Hamill, Variogram-based proper scoring rules for probabilistic
        forecasts of multivariate quantities, MWR 2015.

    Example:
        >>> import torch
        >>> samples = torch.tensor([[0., 1.], [0., 3.]]).reshape(1, 2, 1, 1, 2)
        >>> target = torch.tensor([0., 4.]).reshape(1, 1, 1, 2)
        >>> loss = VariogramScoreLoss(p=1.0, offsets=[(0, 1)])
        >>> loss(samples, target).item(), loss(samples + 5, target).item()
        (3.0, 3.0)
    """

    min_samples = 2

    @checked
    def __init__(
        self,
        p: float = 0.5,
        offsets: tuple[tuple[int, int], ...] = ((0, 1), (1, 0)),
        fair: bool = True,
        loss_weight: Weight = 1.0,
        value_scale: float = 1.0,
        views: Views = None,
    ) -> None:
        super().__init__(loss_weight, value_scale, views)
        check_number('p', p, 'positive', 0, ends=False)
        if not offsets:
            raise UserError('offsets must be (rows, columns), one or more, got none')
        for offset in offsets:
            check_offset(offset)
        self.p = p
        self.offsets = offsets
        self.fair = fair

    def reduced(
        self, samples: Tensor, *needed: Any, mask: Tensor | None = None
    ) -> Tensor:
        (target,) = needed
        terms = []
        for offset in self.offsets:
            score = variogram_score(samples, target, offset, self.p, self.fair)
            both = None if mask is None else torch.minimum(*neighbors(mask, offset))
            terms.append(masked_mean(score, both))
        return torch.stack(terms).mean()

    def extra_repr(self) -> str:
        options = f'p={self.p}, offsets={self.offsets}, fair={self.fair}'
        return f'{options}, {super().extra_repr()}'
