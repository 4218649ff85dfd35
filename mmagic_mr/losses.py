"""The losses as configs name them: `mmagic_mr.functional`, reduced and weighted."""

from torch import Tensor, nn

from mmagic_mr import functional as F
from mmagic_mr.functional import Moments
from mmagic_mr.host import MODELS


class _Loss(nn.Module):
    def __init__(
        self,
        distribution: str,
        order: int,
        loss_weight: float,
        estimator='paper',
        value_scale: float = 1.0,
    ):
        super().__init__()
        F.check_options(distribution, order, estimator)
        if value_scale <= 0:
            raise ValueError(f'value_scale must be positive, got {value_scale}.')
        self.distribution = distribution
        self.order = order
        self.loss_weight = loss_weight
        self.estimator = estimator
        self.value_scale = value_scale

    def extra_repr(self) -> str:
        scale = '' if self.value_scale == 1 else f', value_scale={self.value_scale}'
        return (
            f'distribution={self.distribution!r}, order={self.order}, '
            f'loss_weight={self.loss_weight}, estimator={self.estimator!r}{scale}'
        )


@MODELS.register_module()
class MRLoss(_Loss):
    """Moment reconstruction: the moments of K samples against the data.

    Computes ``loss_weight`` times the mean of `functional.mr_loss`, which has the
    equations. A weight is tied to the range of the images: of images twice as wide,
    order 1 is 4 times as large (Laplace: 2), the gradient of order 2 in the samples
    half as large.

    Args:
        distribution: 'gaussian' or 'laplace'.
        order: 1 compares the center, 2 the dispersion as well.
        loss_weight: Factor of the result.
        estimator: 'paper', or 'unbiased' for the finite-K correction.
        min_noise: Floor to the dispersion that order 2 prefers, in its units, after
            ``value_scale``.
        value_scale: Factor of the images before the loss. A weight that was found for
            images in [-1, 1] serves images in [0, 1] with a factor of 2.

    Raises:
        ValueError: On an unknown option.

    Reference:
        Lee, Ha and Kim, ICLR 2019, algorithms 1 to 4.

    Example:
        >>> import torch
        >>> loss = MRLoss(order=1, loss_weight=10)
        >>> loss(torch.zeros(2, 4, 3, 8, 8), torch.ones(2, 3, 8, 8)).item()
        10.0
    """

    def __init__(
        self,
        distribution: str = 'gaussian',
        order: int = 2,
        loss_weight: float = 1.0,
        estimator: str = 'paper',
        min_noise: float = 0.0,
        value_scale: float = 1.0,
    ):
        super().__init__(distribution, order, loss_weight, estimator, value_scale)
        self.min_noise = min_noise

    def forward(
        self, samples: Tensor, target: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Loss of samples (N, K, C, H, W) for the data (N, C, H, W), a scalar."""
        loss = F.mr_loss(
            self.value_scale * samples,
            self.value_scale * target,
            self.distribution,
            self.order,
            self.estimator,
            self.min_noise,
        )
        return self.loss_weight * F.masked_mean(loss, mask)

    def extra_repr(self) -> str:
        return f'{super().extra_repr()}, min_noise={self.min_noise}'


@MODELS.register_module()
class ProxyMRLoss(_Loss):
    """Proxy moment reconstruction: the moments of K samples against predicted ones.

    Computes ``loss_weight`` times the mean of `functional.proxy_mr_loss`, which has the
    equations. A weight is tied to the range of the images: of images twice as wide, the
    difference of the centers is 4 times as large, that of the variances 16 times.

    Args:
        distribution: 'gaussian' or 'laplace', as the predictor's.
        order: 1 compares the center, 2 the dispersion as well.
        loss_weight: Factor of the result.
        estimator: 'paper', or 'unbiased' for the finite-K correction.
        value_scale: Factor of the images before the loss. A weight that was found for
            images in [-1, 1] serves images in [0, 1] with a factor of 2.

    Raises:
        ValueError: On an unknown option.

    Reference:
        Lee, Ha and Kim, ICLR 2019, algorithms 5 to 8.

    Example:
        >>> import torch
        >>> from mmagic_mr.functional import Moments
        >>> loss, one = ProxyMRLoss(), torch.ones(2, 3, 8, 8)
        >>> loss(torch.zeros(2, 4, 3, 8, 8), Moments(one, 2 * one)).item()
        5.0
    """

    def __init__(
        self,
        distribution: str = 'gaussian',
        order: int = 2,
        loss_weight: float = 1.0,
        estimator: str = 'paper',
        value_scale: float = 1.0,
    ):
        super().__init__(distribution, order, loss_weight, estimator, value_scale)

    def forward(
        self, samples: Tensor, target: Moments, mask: Tensor | None = None
    ) -> Tensor:
        """Loss of samples (N, K, C, H, W) for moments (N, C, H, W), a scalar."""
        scale = self.value_scale
        if isinstance(target, Moments):
            power = 2 if self.distribution == 'gaussian' else 1
            target = Moments(scale * target.center, scale**power * target.dispersion)
        loss = F.proxy_mr_loss(
            scale * samples, target, self.distribution, self.order, self.estimator
        )
        return self.loss_weight * F.masked_mean(loss, mask)


@MODELS.register_module()
class MomentNLLLoss(_Loss):
    """Negative log-likelihood of the data under predicted moments.

    Computes ``loss_weight`` times the mean of `functional.nll`, which has the
    equations. It trains the predictor.

    Args:
        distribution: 'gaussian' or 'laplace'.
        order: 1 fits the center alone, 2 the dispersion as well.
        loss_weight: Factor of the result.
        min_noise: The least dispersion that order 2 prefers, in its units.

    Raises:
        ValueError: On an unknown option.

    Reference:
        Lee, Ha and Kim, ICLR 2019, equations 7 and 8.

    Example:
        >>> import torch
        >>> zero = torch.zeros(2, 3, 8, 8)
        >>> MomentNLLLoss('laplace')(zero, zero, zero + 2).item()
        2.0
    """

    def __init__(
        self,
        distribution: str = 'gaussian',
        order: int = 2,
        loss_weight: float = 1.0,
        min_noise: float = 0.0,
    ):
        super().__init__(distribution, order, loss_weight)
        self.min_noise = min_noise

    def forward(
        self,
        center: Tensor,
        log_dispersion: Tensor | None,
        target: Tensor,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Loss of center and log dispersion for the data, (N, C, H, W), a scalar."""
        loss = F.nll(
            center,
            log_dispersion,
            target,
            self.distribution,
            self.order,
            self.min_noise,
        )
        return self.loss_weight * F.masked_mean(loss, mask)

    def extra_repr(self) -> str:
        return (
            f'distribution={self.distribution!r}, order={self.order}, '
            f'loss_weight={self.loss_weight}, min_noise={self.min_noise}'
        )
