"""The regularizers of rcGAN and pcaGAN as losses."""

from typing import Any

from torch import Tensor

from mmagic_mr.checks import Count, NotNegative, checked
from mmagic_mr.functional import RCGAN_ESTIMATORS, masked_mean, pcagan, rcgan
from mmagic_mr.functional.checks import check_choice
from mmagic_mr.losses.base import SampleLoss, Views, Weight
from mmagic_mr.losses.counting import count_updates, updates_of


class RCGANLoss(SampleLoss):
    """L1 distance of the mean of K samples from the data, less a reward for spread.

    Computes ``loss_weight`` times the mean of `functional.rcgan`, which has the
    equations. With ``spread_weight=1`` the mean and the variance of Gaussian data are
    preferred, for every K; of other data another variance. The authors adapt the factor
    of the reward in the course of the training: ``spread_weight`` may be set at any
    time.

    Args:
        spread_weight: Factor of the reward.
        estimator: 'paper'; 'released': the arithmetic of the authors' code, which
            prefers 0.54, 0.82 and 0.92 of the variance for K = 2, 4 and 8.
        loss_weight, value_scale, views: See `SampleLoss`.

    Shape:
        samples (N, K, C, H, W); target (N, C, H, W); mask (N, 1, H, W); the result is a
        scalar.

    Raises:
        UserError: On a number out of range or an unknown estimator; when called, on
            K < 2.

    Reference:
        Bendel, Ahmad and Schniter, A regularized conditional GAN for posterior sampling
        in image recovery problems, NeurIPS 2023.

    Example:
        >>> import torch
        >>> samples = torch.tensor([0., 2.]).reshape(1, 2, 1, 1, 1)
        >>> loss = RCGANLoss(spread_weight=0.0)
        >>> loss(samples, torch.full((1, 1, 1, 1), 3.0)).item()
        2.0
    """

    min_samples = 2

    @checked
    def __init__(
        self,
        spread_weight: NotNegative = 1.0,
        estimator: str = 'paper',
        loss_weight: Weight = 1.0,
        value_scale: float = 1.0,
        views: Views = None,
    ) -> None:
        super().__init__(loss_weight, value_scale, views)
        check_choice('estimator', estimator, RCGAN_ESTIMATORS)
        self.spread_weight = spread_weight
        self.estimator = estimator

    def loss_map(self, samples: Tensor, target: Tensor) -> Tensor:
        return rcgan(samples, target, self.spread_weight, self.estimator)

    def extra_repr(self) -> str:
        options = f'spread_weight={self.spread_weight}, estimator={self.estimator!r}'
        return f'{options}, {super().extra_repr()}'


class PCAGANLoss(RCGANLoss):
    """`RCGANLoss`, and from time to time a look at the principal components.

    Every ``interval``-th evaluation in training, and all others, add
    ``component_weight`` times `functional.pcagan`, which has the equations: the samples
    are to vary in the directions in which they err, as much as they err there.

    The components are those of the model's K samples: the authors draw 20 for these
    updates, here ``num_samples`` is for all. With few, the directions say little.

    Args:
        spread_weight, estimator: See `RCGANLoss`.
        components: How many leading ones; K is at least 2 (components + 1).
        component_weight: Factor of what is added; it has no units, and the rest is in
            the units of the images.
        interval: Updates of the generator from one addition to the next. The count
            is in the checkpoint.
        loss_weight, value_scale, views: See `SampleLoss`.

    Shape:
        samples (N, K, C, H, W); target (N, C, H, W); mask (N, 1, H, W); the result is a
        scalar.

    Raises:
        UserError: On a number out of range or an unknown estimator; when called, on a K
            that is too small.

    Reference:
        Bendel, Ahmad and Schniter, pcaGAN: Improving posterior-sampling cGANs via
        principal component regularization, NeurIPS 2024.

    Example:
        >>> import torch
        >>> loss = PCAGANLoss(components=2, interval=2)
        >>> loss.min_samples
        6
        >>> samples, target = torch.rand(2, 6, 3, 8, 8), torch.ones(2, 3, 8, 8)
        >>> with_components, without = loss(samples, target), loss(samples, target)
        >>> without == RCGANLoss()(samples, target) != with_components
        tensor(True)
    """

    min_samples = 4
    updates: Tensor

    @checked
    def __init__(
        self,
        spread_weight: NotNegative = 1.0,
        estimator: str = 'paper',
        components: Count = 1,
        component_weight: NotNegative = 0.01,
        interval: Count = 100,
        loss_weight: Weight = 1.0,
        value_scale: float = 1.0,
        views: Views = None,
    ) -> None:
        super().__init__(spread_weight, estimator, loss_weight, value_scale, views)
        self.components = components
        self.component_weight = component_weight
        self.interval = interval
        self.min_samples = 2 * (components + 1)
        count_updates(self)

    def reduced(
        self, samples: Tensor, *needed: Any, mask: Tensor | None = None
    ) -> Tensor:
        (target,) = needed
        loss = masked_mean(self.loss_map(samples, target), mask)
        if self.training and updates_of(self) % self.interval != 0:
            return loss
        added = pcagan(samples, target, self.components, mask)
        return loss + self.component_weight * added

    def extra_repr(self) -> str:
        options = f'components={self.components}, '
        options += f'component_weight={self.component_weight}, interval={self.interval}'
        return f'{options}, {super().extra_repr()}'
