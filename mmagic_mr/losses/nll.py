"""The likelihood that trains a predictor of moments."""

from torch import Tensor, nn

from mmagic_mr.checks import checked
from mmagic_mr.functional import ORDERS, Distribution, distribution_of, masked_mean, nll
from mmagic_mr.functional.checks import check_choice, check_min_noise
from mmagic_mr.losses.base import check_weight


class MomentNLLLoss(nn.Module):
    """Negative log-likelihood of the data under predicted moments.

    Computes ``loss_weight`` times the mean of `functional.nll`, which has the
    equations. It trains the predictor, and sees no samples.

    Args:
        distribution: 'gaussian' or 'laplace'.
        order: 1 fits the center alone, 2 the dispersion as well.
        loss_weight: Factor of the result, at least 0.
        min_noise: The least dispersion that order 2 prefers, in its units; at least 0.

    Shape:
        center, log_dispersion and target (N, C, H, W); mask (N, 1, H, W); the result is
        a scalar.

    Raises:
        UserError: On an unknown option or a number out of range.

    Reference:
        Lee, Ha and Kim, ICLR 2019, equations 7 and 8.

    Example:
        >>> import torch
        >>> zero = torch.zeros(2, 3, 8, 8)
        >>> MomentNLLLoss('laplace')(zero, zero, zero + 2).item()
        2.0
    """

    @checked
    def __init__(
        self,
        distribution: str | Distribution = 'gaussian',
        order: int = 2,
        loss_weight: float = 1.0,
        min_noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.distribution = distribution_of(distribution).name
        check_choice('order', order, ORDERS)
        check_min_noise(min_noise)
        self.order = order
        self.loss_weight = check_weight(loss_weight)
        self.min_noise = min_noise

    def forward(
        self,
        center: Tensor,
        log_dispersion: Tensor | None,
        target: Tensor,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Loss of center and log dispersion for the data, a scalar."""
        loss = nll(
            center,
            log_dispersion,
            target,
            self.distribution,
            self.order,
            self.min_noise,
        )
        return self.loss_weight * masked_mean(loss, mask)

    def extra_repr(self) -> str:
        return (
            f'distribution={self.distribution!r}, order={self.order}, '
            f'loss_weight={self.loss_weight}, min_noise={self.min_noise}'
        )
