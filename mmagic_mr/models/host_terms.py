"""MMagic's own terms, pixel and perceptual losses, on K samples of an input."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmagic_mr.errors import UserError
from mmagic_mr.functional import process_mean
from mmagic_mr.models.batch import Batch


def pixel_loss(loss: nn.Module, batch: Batch, samples: Tensor) -> Tensor:
    """A pixel loss of MMagic, on every sample, inside the mask of the batch.

    Args:
        loss: Of images, targets and the weight of each element.
        batch: N inputs.
        samples: K of each.

    Shape:
        samples (N, K, C, H, W) to a scalar.
    """
    k, mask = samples.shape[1], batch.mask
    weight = None if mask is None else mask.repeat_interleave(k, 0)
    value = loss(samples.flatten(0, 1), batch.y.repeat_interleave(k, 0), weight)
    of_each = getattr(loss, 'sample_wise', False)
    if mask is None or of_each or getattr(loss, 'reduction', 'mean') != 'mean':
        return value
    # MMagic's mean is over what lies inside on this process
    inside = mask.sum()
    everywhere = process_mean(inside)
    return value * (inside / torch.where(everywhere > 0, everywhere, 1))


class OfMeans(nn.Module):
    """A criterion between the mean over an input's samples and the target.

    Args:
        criterion: Of two tensors of N rows.

    Shape:
        N*K rows, the samples of an input next to each other, and N rows to a scalar.

    Example:
        >>> import torch
        >>> samples, target = torch.tensor([1.0, 3.0, 5.0, 5.0]), torch.tensor([2.0, 4])
        >>> OfMeans(nn.L1Loss())(samples, target)
        tensor(0.5000)
    """

    def __init__(self, criterion: nn.Module):
        super().__init__()
        self.criterion = criterion

    def forward(self, values: Tensor, target: Tensor) -> Tensor:
        k = len(values) // len(target)
        return self.criterion(values.unflatten(0, (-1, k)).mean(1), target)


def compare_means(name: str, loss: nn.Module | None) -> None:
    """Let a perceptual loss compare the means of the samples' features, from now on.

    The style term likewise compares the mean of the Gram matrices: that of the mean
    features would be of no image.

    Args:
        name: Of the term in the config, for the error.
        loss: MMagic's ``PerceptualLoss``, whose ``criterion`` sees all its features.

    Raises:
        UserError: There is no such term, or it has no criterion of its own.
    """
    if not isinstance(getattr(loss, 'criterion', None), nn.Module):
        what = 'there is none' if loss is None else f'{type(loss).__name__} has none'
        raise UserError(
            f"keep: {name!r} is 'mean', which acts on the criterion of a loss such as "
            f"MMagic's PerceptualLoss, and {what}: give such a loss, or leave the term "
            'out, and take features in another way: CRPSLoss(views=dict(features=1))'
        )
    loss.criterion = OfMeans(loss.criterion)


def perceptual_losses(
    loss: nn.Module, samples: Tensor, target: Tensor, names: Sequence[str]
) -> dict[str, Tensor]:
    """The terms of a perceptual loss of MMagic, on every sample or on their mean.

    Args:
        loss: Images and targets to two terms, None for one that is switched off.
        samples: As the loss shall see them.
        target: Likewise.
        names: Of the two terms in the log.

    Shape:
        samples (N, K, C, H, W), target (N, C, H, W).
    """
    if not isinstance(getattr(loss, 'criterion', None), OfMeans):
        target = target.repeat_interleave(samples.shape[1], 0)
    terms = loss(samples.flatten(0, 1), target)
    return {n: t for n, t in zip(names, terms, strict=True) if t is not None}
