"""The energy score as a loss."""

from typing import Any

from torch import Tensor

from mmagic_mr.checks import checked
from mmagic_mr.functional import energy_score, masked_mean, patch_mask
from mmagic_mr.functional.checks import check_beta, check_patch
from mmagic_mr.losses.base import SampleLoss, Views, Weight


class EnergyScoreLoss(SampleLoss):
    """Energy score of K samples, of the whole image or of patches.

    Computes ``loss_weight`` times the mean of `functional.energy_score`, which has the
    equations, over the patches (and channels), or over the images. Of all distributions
    of a patch the true one has the least loss: unlike a loss per element it sees how
    neighbors go together. The norm is not divided by the size of the patch: a weight is
    tied to it, and to the range of the images to the power beta.

    With a mask, a patch counts where it lies wholly inside. Of a whole image the norm
    is that of the elements inside, and the mean is over the images that have any.

    Args:
        patch: Side of the patches in pixels, at every position and in each channel;
            1 (with beta=1) is the CRPS. None: the whole image, channels included.
        beta: Power of the norm, above 0 and below 2.
        loss_weight, value_scale, views: See `SampleLoss`. The patch is of the view.

    Shape:
        samples (N, K, C, H, W); target (N, C, H, W); mask (N, 1, H, W); the result is a
        scalar.

    Raises:
        UserError: On a number out of range; when called, on K < 2 or a patch larger
            than the images.

    Reference:
        Gneiting and Raftery, Strictly proper scoring rules, prediction, and
        estimation, JASA 2007, equation 22.

    Example:
        >>> import torch
        >>> samples = torch.tensor([0., 2.]).reshape(1, 2, 1, 1, 1)
        >>> samples, target = samples.expand(1, 2, 1, 4, 4), torch.full((1, 1, 4, 4), 3)
        >>> EnergyScoreLoss(patch=4)(samples, target).item()
        4.0
    """

    min_samples = 2

    @checked
    def __init__(
        self,
        patch: int | None = None,
        beta: float = 1.0,
        loss_weight: Weight = 1.0,
        value_scale: float = 1.0,
        views: Views = None,
    ) -> None:
        super().__init__(loss_weight, value_scale, views)
        check_patch(patch)
        check_beta(beta)
        self.patch = patch
        self.beta = beta

    def reduced(
        self, samples: Tensor, *needed: Any, mask: Tensor | None = None
    ) -> Tensor:
        (target,) = needed
        whole = mask if self.patch is None else None
        scores = energy_score(samples, target, self.patch, self.beta, whole)
        counts = None if mask is None else patch_mask(mask, self.patch)
        return masked_mean(scores, counts)

    def extra_repr(self) -> str:
        return f'patch={self.patch}, beta={self.beta}, {super().extra_repr()}'
