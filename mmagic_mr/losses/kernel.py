"""The kernel score as a loss."""

from typing import Any

from torch import Tensor

from mmagic_mr.checks import checked
from mmagic_mr.functional import kernel_score, masked_mean, patch_mask
from mmagic_mr.functional.checks import check_patch
from mmagic_mr.functional.kernel import check_bandwidths
from mmagic_mr.losses.base import SampleLoss, Views, Weight


class KernelScoreLoss(SampleLoss):
    """Kernel score of K samples, of the whole image or of patches: conditional MMD.

    Computes ``loss_weight`` times the mean of `functional.kernel_score`, which has the
    equations, over the patches (and channels), or over the images. Of all distributions
    of a patch the true one has the least loss. It is bounded: a sample far from the
    data costs no more than one at some distance, and has no gradient.

    Args:
        bandwidths: Of the Gaussian kernels, of which the mean is taken; differences per
            element, in the units of the (scaled) images. The default is for images in
            [-1, 1].
        patch: Side of the patches in pixels, at every position and in each channel.
            None: the whole image, channels included.
        loss_weight, value_scale, views: See `SampleLoss`. The patch is of the view.

    Shape:
        samples (N, K, C, H, W); target (N, C, H, W); mask (N, 1, H, W); the result is a
        scalar.

    Raises:
        UserError: On a number out of range; when called, on K < 2 or a patch larger
            than the images.

    Reference:
        Gneiting and Raftery, Strictly proper scoring rules, prediction, and
        estimation, JASA 2007, section 5.1.

    Example:
        >>> import torch
        >>> samples, target = torch.zeros(1, 2, 1, 4, 4), torch.zeros(1, 1, 4, 4)
        >>> KernelScoreLoss(loss_weight=10.0)(samples, target).item()
        -10.0
    """

    min_samples = 2

    @checked
    def __init__(
        self,
        bandwidths: tuple[float, ...] = (0.1, 0.3, 1.0),
        patch: int | None = None,
        loss_weight: Weight = 1.0,
        value_scale: float = 1.0,
        views: Views = None,
    ) -> None:
        super().__init__(loss_weight, value_scale, views)
        check_bandwidths(bandwidths)
        check_patch(patch)
        self.bandwidths = bandwidths
        self.patch = patch

    def reduced(
        self, samples: Tensor, *needed: Any, mask: Tensor | None = None
    ) -> Tensor:
        (target,) = needed
        whole = mask if self.patch is None else None
        scores = kernel_score(samples, target, self.bandwidths, self.patch, whole)
        counts = None if mask is None else patch_mask(mask, self.patch)
        return masked_mean(scores, counts)

    def extra_repr(self) -> str:
        options = f'bandwidths={self.bandwidths}, patch={self.patch}'
        return f'{options}, {super().extra_repr()}'
