"""Moment reconstruction as a loss."""

from torch import Tensor

from mmagic_mr.checks import checked
from mmagic_mr.functional import Distribution, distribution_of, least_samples, mr_loss
from mmagic_mr.functional.checks import check_min_noise
from mmagic_mr.losses.base import SampleLoss, Views, Weight


class MRLoss(SampleLoss):
    """Moment reconstruction: the moments of K samples against the data.

    Computes ``loss_weight`` times the mean of `functional.mr_loss`, which has the
    equations. A weight is tied to the range of the images: of images twice as wide,
    order 1 is 4 times as large (Laplace: 2), the gradient of order 2 in the samples
    half as large.

    Args:
        distribution: 'gaussian' or 'laplace'.
        order: 1 compares the center, 2 the dispersion as well.
        estimator: 'paper', or 'unbiased' for the finite-K correction.
        min_noise: Floor to the dispersion that order 2 prefers, in its units, after
            ``value_scale``; at least 0.
        loss_weight, value_scale, views: See `SampleLoss`.

    Shape:
        samples (N, K, C, H, W); target (N, C, H, W); mask (N, 1, H, W); the result is a
        scalar.

    Raises:
        UserError: On an unknown option or a number out of range; when called, on too
            few samples: order 2 needs K >= 2; 'unbiased' needs K >= 2 in order 1 and
            K >= 4 in order 2.

    Reference:
        Lee, Ha and Kim, ICLR 2019, algorithms 1 to 4.

    Example:
        >>> import torch
        >>> loss = MRLoss(order=1, loss_weight=10)
        >>> loss(torch.zeros(2, 4, 3, 8, 8), torch.ones(2, 3, 8, 8)).item()
        10.0
    """

    distribution: str

    @checked
    def __init__(
        self,
        distribution: str | Distribution = 'gaussian',
        order: int = 2,
        loss_weight: Weight = 1.0,
        estimator: str = 'paper',
        min_noise: float = 0.0,
        value_scale: float = 1.0,
        views: Views = None,
    ) -> None:
        super().__init__(loss_weight, value_scale, views)
        self.distribution = distribution_of(distribution).name
        self.min_samples = least_samples(order, estimator)
        check_min_noise(min_noise)
        self.order = order
        self.estimator = estimator
        self.min_noise = min_noise

    def loss_map(self, samples: Tensor, target: Tensor) -> Tensor:
        return mr_loss(
            samples,
            target,
            self.distribution,
            self.order,
            self.estimator,
            self.min_noise,
        )

    def extra_repr(self) -> str:
        return (
            f'distribution={self.distribution!r}, order={self.order}, '
            f'{super().extra_repr()}, estimator={self.estimator!r}, '
            f'min_noise={self.min_noise}'
        )
