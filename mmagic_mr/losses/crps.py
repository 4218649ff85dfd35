"""The continuous ranked probability score as a loss."""

from torch import Tensor

from mmagic_mr.checks import checked
from mmagic_mr.functional import crps
from mmagic_mr.functional.checks import check_alpha
from mmagic_mr.losses.base import SampleLoss, Views, Weight


class CRPSLoss(SampleLoss):
    """Continuous ranked probability score of K samples, per element.

    Computes ``loss_weight`` times the mean of `functional.crps`, which has the
    equations. Of all distributions of an element's value the true one has the least
    loss, and no predictor is needed; what elements have to do with each other it does
    not see. The loss is in the units of the images: of images twice as wide it is twice
    as large, its gradient in the samples the same.

    Args:
        alpha: From 0 to 1. 1 is fair: the preferred variance is that of the data for
            every K. With 0.95 it is 0.91, 0.95 and 0.98 of it for K = 2, 4 and 10.
        loss_weight, value_scale, views: See `SampleLoss`.

    Shape:
        samples (N, K, C, H, W); target (N, C, H, W); mask (N, 1, H, W); the result is a
        scalar.

    Raises:
        UserError: On a number out of range; when called, on K < 2.

    Reference:
        Ferro, Fair scores for ensemble forecasts, QJRMS 2014. Lang et al., AIFS-CRPS,
        2024.

    Example:
        >>> import torch
        >>> samples = torch.tensor([0., 2.]).reshape(1, 2, 1, 1, 1)
        >>> CRPSLoss(loss_weight=10)(samples, torch.full((1, 1, 1, 1), 3.0)).item()
        10.0
    """

    min_samples = 2

    @checked
    def __init__(
        self,
        alpha: float = 1.0,
        loss_weight: Weight = 1.0,
        value_scale: float = 1.0,
        views: Views = None,
    ) -> None:
        super().__init__(loss_weight, value_scale, views)
        check_alpha(alpha)
        self.alpha = alpha

    def loss_map(self, samples: Tensor, target: Tensor) -> Tensor:
        return crps(samples, target, self.alpha)

    def extra_repr(self) -> str:
        return f'alpha={self.alpha}, {super().extra_repr()}'
