"""Terms that ask for diversity and have no optimum, as losses: baselines.

Each stands beside a reconstruction or a GAN loss; `functional.diversity` has the
equations and what is wrong with each.
"""

from typing import Any

from torch import Tensor

from mmagic_mr.checks import Count, Positive, checked
from mmagic_mr.functional import (
    DSGAN_ESTIMATORS,
    best_of_k,
    dsgan,
    masked_mean,
    mean_difference,
    mode_seeking,
    ndiv,
    patch_mask,
)
from mmagic_mr.functional.checks import check_choice, check_number
from mmagic_mr.losses.base import SampleLoss, Views, Weight
from mmagic_mr.losses.counting import count_updates, updates_of


class ModeSeekingLoss(SampleLoss):
    """Mode seeking regularizer of MSGAN: `functional.mode_seeking`, weighted.

    Its fault: where the samples collapse the value is 1e5 and the slope 1e10.

    Args:
        loss_weight, value_scale, views: See `SampleLoss`.

    Shape:
        samples (N, K, C, H, W); noise (N, K, c, h, w) by site; mask (N, 1, H, W); the
        result is a scalar.

    Raises:
        UserError: On a number out of range; when called, without noise or on K < 2.

    Reference:
        Mao et al., Mode seeking generative adversarial networks for diverse image
        synthesis, CVPR 2019.

    Example:
        >>> import torch
        >>> z = torch.randn(1, 2, 1, 1, 1)
        >>> round(ModeSeekingLoss(loss_weight=10.0)(0.5 * z, {'site': z}).item(), 2)
        20.0
    """

    min_samples = 2
    needs = ('noise',)

    def reduced(
        self, samples: Tensor, *needed: Any, mask: Tensor | None = None
    ) -> Tensor:
        (noise,) = needed
        return mode_seeking(samples, noise, mask)


class DSGANLoss(SampleLoss):
    """Diversity-sensitive regularizer of DSGAN: `functional.dsgan`, weighted.

    The authors' weights are 8 (maps), 10 (Cityscapes) and 5 (inpainting). Its fault:
    the spread that it asks for is ``tau`` times that of the noise, whatever the data.

    Args:
        tau: Ratio of the distance of two samples to that of their noise, beyond which
            nothing is gained; positive, in the units of the (scaled) images.
        estimator: 'paper'; 'released': the authors' code, which bounds the wrong side,
            so that more is always better.
        loss_weight, value_scale, views: See `SampleLoss`.

    Shape:
        samples (N, K, C, H, W); noise (N, K, c, h, w) by site; mask (N, 1, H, W); the
        result is a scalar.

    Raises:
        UserError: On a number out of range or an unknown estimator; when called,
            without noise or on K < 2.

    Reference:
        Yang et al., Diversity-sensitive conditional generative adversarial networks,
        ICLR 2019.

    Example:
        >>> import torch
        >>> z = torch.randn(1, 2, 1, 1, 1)
        >>> loss, released = DSGANLoss(), DSGANLoss(estimator='released')
        >>> [round(f(9 * z, {'site': z}).item(), 2) for f in (loss, released)]
        [-1.0, -9.0]
    """

    min_samples = 2
    needs = ('noise',)

    @checked
    def __init__(
        self,
        tau: Positive = 1.0,
        estimator: str = 'paper',
        loss_weight: Weight = 1.0,
        value_scale: float = 1.0,
        views: Views = None,
    ) -> None:
        super().__init__(loss_weight, value_scale, views)
        check_choice('estimator', estimator, DSGAN_ESTIMATORS)
        self.tau = tau
        self.estimator = estimator

    def reduced(
        self, samples: Tensor, *needed: Any, mask: Tensor | None = None
    ) -> Tensor:
        (noise,) = needed
        return dsgan(samples, noise, self.tau, self.estimator, mask)

    def extra_repr(self) -> str:
        options = f'tau={self.tau}, estimator={self.estimator!r}'
        return f'{options}, {super().extra_repr()}'


class NDivLoss(SampleLoss):
    """Normalized diversification: `functional.ndiv`, weighted.

    Its fault: it is blind to the amount; a spread of 1e-6 has the loss 0. With noise of
    many numbers, as maps are, it may be 0 from the beginning: one vector of few numbers
    for the image suits it.

    Args:
        alpha: How much of the noise's proportions is asked for, from 0 to 1.
        loss_weight, value_scale, views: See `SampleLoss`. The scale changes nothing.

    Shape:
        samples (N, K, C, H, W); noise (N, K, c, h, w) by site; mask (N, 1, H, W); the
        result is a scalar.

    Raises:
        UserError: On a number out of range; when called, without noise or on K < 3.

    Reference:
        Liu et al., Normalized diversification, CVPR 2019.

    Example:
        >>> import torch
        >>> z = torch.randn(1, 4, 1, 1, 1)
        >>> NDivLoss()(0.01 * z, {'site': z}).item()
        0.0
    """

    min_samples = 3
    needs = ('noise',)

    @checked
    def __init__(
        self,
        alpha: float = 0.8,
        loss_weight: Weight = 1.0,
        value_scale: float = 1.0,
        views: Views = None,
    ) -> None:
        super().__init__(loss_weight, value_scale, views)
        check_number('alpha', alpha, 'from 0 to 1', 0, 1)
        self.alpha = alpha

    def reduced(
        self, samples: Tensor, *needed: Any, mask: Tensor | None = None
    ) -> Tensor:
        (noise,) = needed
        return ndiv(samples, noise, self.alpha, mask)

    def extra_repr(self) -> str:
        return f'alpha={self.alpha}, {super().extra_repr()}'


class BestOfKLoss(SampleLoss):
    """Squared distance of the best of K samples (IMLE): `functional.best_of_k`.

    The mean is over the images. Its fault: the spread that it prefers is a matter of K.

    Args:
        loss_weight, value_scale, views: See `SampleLoss`.

    Shape:
        samples (N, K, C, H, W); target (N, C, H, W); mask (N, 1, H, W); the result is a
        scalar.

    Raises:
        UserError: On a number out of range.

    Reference:
        Li and Malik, Implicit maximum likelihood estimation, 2018.

    Example:
        >>> import torch
        >>> samples = torch.tensor([0., 2.]).reshape(1, 2, 1, 1, 1)
        >>> BestOfKLoss(loss_weight=10.0)(samples, torch.full((1, 1, 1, 1), 3.0)).item()
        10.0
    """

    def reduced(
        self, samples: Tensor, *needed: Any, mask: Tensor | None = None
    ) -> Tensor:
        (target,) = needed
        counts = None if mask is None else patch_mask(mask, None)
        return masked_mean(best_of_k(samples, target, mask), counts)


class DiversitySensitiveLoss(SampleLoss):
    """Minus the mean distance of two samples, fading out: the term of StarGAN v2.

    The weight falls from ``loss_weight`` to 0 along a line, over the first evaluations
    in training; their count is in the checkpoint. Its fault: while the weight is above
    0, more is always better, without a bound; after that there is nothing.

    Args:
        decay_updates: Updates of the generator until nothing is left.
        loss_weight, value_scale, views: See `SampleLoss`.

    Shape:
        samples (N, K, C, H, W); mask (N, 1, H, W); the result is a scalar.

    Raises:
        UserError: On a number out of range; when called, on K < 2.

    Reference:
        Choi et al., StarGAN v2: Diverse image synthesis for multiple domains, CVPR
        2020, equation 3.

    Example:
        >>> import torch
        >>> loss = DiversitySensitiveLoss(decay_updates=2)
        >>> samples = torch.tensor([0., 2.]).reshape(1, 2, 1, 1, 1)
        >>> [loss(samples).item() for _ in range(4)]
        [-2.0, -1.0, 0.0, 0.0]
    """

    min_samples = 2
    needs = ()
    updates: Tensor

    @checked
    def __init__(
        self,
        decay_updates: Count = 100_000,
        loss_weight: Weight = 1.0,
        value_scale: float = 1.0,
        views: Views = None,
    ) -> None:
        super().__init__(loss_weight, value_scale, views)
        self.decay_updates = decay_updates
        count_updates(self)

    def loss_map(self, samples: Tensor) -> Tensor:
        left = max(0.0, 1 - updates_of(self) / self.decay_updates)
        return -left * mean_difference(samples)

    def extra_repr(self) -> str:
        return f'decay_updates={self.decay_updates}, {super().extra_repr()}'
