"""Proxy moment reconstruction as a loss."""

from torch import Tensor

from mmagic_mr.checks import checked
from mmagic_mr.functional import (
    Distribution,
    Moments,
    distribution_of,
    least_samples,
    proxy_mr_loss,
)
from mmagic_mr.losses.base import SampleLoss, Views, Weight


class ProxyMRLoss(SampleLoss):
    """Proxy moment reconstruction: the moments of K samples against predicted ones.

    Computes ``loss_weight`` times the mean of `functional.proxy_mr_loss`, which has the
    equations. A weight is tied to the range of the images: of images twice as wide, the
    difference of the centers is 4 times as large, that of the variances 16 times.

    Args:
        distribution: 'gaussian' or 'laplace', as the predictor's.
        order: 1 compares the center, 2 the dispersion as well.
        estimator: 'paper', or 'unbiased' for the finite-K correction.
        loss_weight, value_scale, views: See `SampleLoss`.

    Shape:
        samples (N, K, C, H, W); both moments (N, C, H, W); mask (N, 1, H, W); the
        result is a scalar.

    Raises:
        UserError: On an unknown option or a number out of range; when called, on
            moments that are none, or too few samples: order 2 needs K >= 2; 'unbiased'
            needs K >= 2 in order 1 and K >= 4 in order 2.

    Reference:
        Lee, Ha and Kim, ICLR 2019, algorithms 5 to 8.

    Example:
        >>> import torch
        >>> from mmagic_mr.functional import Moments
        >>> loss, one = ProxyMRLoss(), torch.ones(2, 3, 8, 8)
        >>> loss(torch.zeros(2, 4, 3, 8, 8), Moments(one, 2 * one)).item()
        5.0
    """

    needs = ('moments',)
    distribution: str

    @checked
    def __init__(
        self,
        distribution: str | Distribution = 'gaussian',
        order: int = 2,
        loss_weight: Weight = 1.0,
        estimator: str = 'paper',
        value_scale: float = 1.0,
        views: Views = None,
    ) -> None:
        super().__init__(loss_weight, value_scale, views)
        self.distribution = distribution_of(distribution).name
        self.min_samples = least_samples(order, estimator)
        self.order = order
        self.estimator = estimator

    def loss_map(self, samples: Tensor, moments: Moments) -> Tensor:
        return proxy_mr_loss(
            samples, moments, self.distribution, self.order, self.estimator
        )

    def extra_repr(self) -> str:
        return (
            f'distribution={self.distribution!r}, order={self.order}, '
            f'{super().extra_repr()}, estimator={self.estimator!r}'
        )
