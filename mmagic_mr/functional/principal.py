"""The principal components of K samples, and what pcaGAN asks of them."""

from typing import NamedTuple

import torch
from torch import Tensor

from mmagic_mr.functional.checks import check_samples, check_shape, check_target
from mmagic_mr.functional.pairs import SQUARED_DISTANCE_FLOOR
from mmagic_mr.functional.processes import process_mean

# Relative to the largest eigenvalue: where two are closer, the direction of neither is
# defined, and the gradient is damped instead of dividing by their gap.
SMALLEST_GAP = 1e-4

# A sampler that has collapsed has ratios d/lambda of any size: beyond this one the
# gradient grows no more.
LARGEST_RATIO = 4.0


class PrincipalTerms(NamedTuple):
    """What `principal_terms` finds in each input.

    Attributes:
        explained: Share of the squared error of the mean that lies along the leading
            components, from 0 to 1.
        variance: :math:`\\lambda_k`, of the samples along each component.
        residual: :math:`d_k`, squared distance of y from the mean along it.
    """

    explained: Tensor
    variance: Tensor
    residual: Tensor


def pcagan(
    samples: Tensor, target: Tensor, components: int = 1, mask: Tensor | None = None
) -> Tensor:
    r"""What pcaGAN adds to `rcgan`, from the leading principal components.

    .. math::
        - \frac1N \sum_n \sum_k \frac{(v_k \cdot (y - \bar s))^2}{\|y - \bar s\|^2}
        + \sum_k \left( 1 - \frac{\sum_n d_k}{\sum_n \lambda_k} \right)^2

    The first term turns the directions :math:`v_k` of the largest spread to where the
    error is, the second makes the variance :math:`\lambda_k` along them that of the
    data, which :math:`d_k = (v_k \cdot (y - \bar s))^2` estimates (`principal_terms`).

    It departs from the authors' code where that has no right optimum:

    - :math:`\lambda_k` is a variance. As released it is a sum of K squares, and with 20
      samples an exact sampler has the ratio 0.05 instead of 1.
    - The directions of :math:`d_k` and :math:`\lambda_k` are those of one half of the
      samples, both are taken from the other half, and the other way round: along a
      direction that was fitted to them, the samples vary more than the data do.
    - The ratio is that of the sums over the batch, and no gradient goes through the
      denominator: the square of the ratio of a single y prefers three times the
      variance. This prefers that of the data, 1.02 times it with 8 inputs (0.92 with
      one).
      Where d exceeds 4 lambda the denominator is d/4, as a sampler that has collapsed
      would have a gradient without bound.

    Args:
        samples: K samples per input, in any units; K at least 2 (components + 1).
        target: The data y, in the units of the samples.
        components: How many leading components.
        mask: 1 where an element counts.

    Returns:
        A scalar without units.

    Shape:
        samples (N, K, C, H, W); target (N, C, H, W); mask (N, 1, H, W).

    Raises:
        UserError: On wrong shapes, or a K that is too small.

    Reference:
        Bendel, Ahmad and Schniter, pcaGAN: Improving posterior-sampling cGANs via
        principal component regularization, NeurIPS 2024.

    Example:
        >>> import torch
        >>> samples = torch.tensor([0., 2., 0., 2.]).reshape(1, 4, 1, 1, 1)
        >>> target = torch.full((1, 1, 1, 1), 1 + 3 ** 0.5)  # d is 2 by each half
        >>> pcagan(samples, target).item()
        -1.0
    """
    explained, variance, residual = principal_terms(samples, target, components, mask)
    counted = explained.new_ones(len(explained))
    if mask is not None:
        counted = mask.flatten(1).amax(dim=1).gt(0).to(explained.dtype)
    count = process_mean(counted.sum())
    share = (explained * counted).sum() / torch.where(count > 0, count, 1)
    return variance_error(variance, residual).sum() - share


def variance_error(variance: Tensor, residual: Tensor) -> Tensor:
    """Squared relative error of the variances of a batch, the second term of `pcagan`.

    Shape:
        (..., N, components) to (..., components).

    Example:
        >>> import torch
        >>> variance_error(torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [0.0]]))
        tensor([0.2500])
    """
    variance = process_mean(variance.sum(dim=-2))
    residual = process_mean(residual.sum(dim=-2))
    relative_to = torch.maximum(variance, residual / LARGEST_RATIO).detach()
    error = (variance - residual) / relative_to.clamp(min=SQUARED_DISTANCE_FLOOR)
    return error.square()


def principal_terms(
    samples: Tensor, target: Tensor, components: int = 1, mask: Tensor | None = None
) -> PrincipalTerms:
    """Error and variance along the principal components of the samples, per input.

    Of an exact sampler, ``residual`` and ``variance`` have the same mean: the variance
    of one half of the samples along directions of the other half, and the squared
    distance of y from its mean less what that mean itself varies, averaged over both
    orders. The gradient goes through the directions for ``explained``, and through the
    samples alone for ``variance``.

    Args:
        samples: K samples per input; K at least 2 (components + 1).
        target: The data y.
        components: How many leading components.
        mask: 1 where an element counts.

    Shape:
        samples (N, K, C, H, W); target (N, C, H, W); mask (N, 1, H, W); explained (N,);
        variance and residual (N, components).

    Raises:
        UserError: On wrong shapes, or a K that is too small.

    Example:
        >>> import torch
        >>> samples = torch.tensor([0., 2., 0., 2.]).reshape(1, 4, 1, 1, 1)
        >>> terms = principal_terms(samples, torch.full((1, 1, 1, 1), 4.0))
        >>> [round(x.item(), 3) for x in terms]  # 3 is the distance from each mean
        [1.0, 2.0, 6.0]
    """
    what = f'A principal component loss of {components} component(s)'
    samples = check_samples(samples, 2 * (components + 1), what)
    target = check_target(target, samples)
    if mask is not None:
        mask = check_shape(mask, (len(target), 1, *target.shape[2:]), 'mask')
        samples, target = samples * mask.unsqueeze(1), target * mask
    rows, wanted = samples.flatten(2), target.flatten(1)
    # Matrix products, which autocast would do in half precision
    with torch.autocast(rows.device.type, enabled=False):
        error = wanted - rows.detach().mean(dim=1)
        along = _along(principal_directions(rows, components), error.unsqueeze(1))
        size = error.square().sum(dim=1).clamp(min=SQUARED_DISTANCE_FLOOR)
        explained = along.square().sum(dim=(1, 2)) / size
        halves = rows.tensor_split(2, dim=1)
        found = [
            _variance_and_residual(fitted, judged, wanted, components)
            for fitted, judged in (halves, halves[::-1])
        ]
    variance, residual = (
        torch.stack(part).mean(dim=0) for part in zip(*found, strict=True)
    )
    return PrincipalTerms(explained, variance, residual)


def principal_directions(rows: Tensor, components: int) -> Tensor:
    """Unit vectors of the leading principal components of K vectors.

    From the K x K Gram matrix of the centered vectors. The gradient is that of the
    eigenvectors, to first order in their change, with close eigenvalues kept apart.

    Shape:
        rows (N, K, D), K above the number of components; result (N, components, D).

    Example:
        >>> import torch
        >>> principal_directions(torch.tensor([[[0., 0.], [6., 8.]]]), 1).abs()
        tensor([[[0.6000, 0.8000]]])
    """
    centered = rows - rows.mean(dim=1, keepdim=True)
    gram = centered @ centered.mT
    values, basis = torch.linalg.eigh(gram.detach())
    values, basis = values.flip(-1), basis.flip(-1)
    leading = basis[..., :components]
    change = basis.mT @ (gram - gram.detach()) @ leading
    gap = values[:, None, :components] - values[:, :, None]
    least = SMALLEST_GAP * values[:, :1, None].clamp(min=SQUARED_DISTANCE_FLOOR)
    leading = leading + basis @ (change * gap / (gap.square() + least.square()))
    directions = leading.mT @ centered
    length = directions.square().sum(dim=-1, keepdim=True)
    result: Tensor = directions / length.clamp(min=SQUARED_DISTANCE_FLOOR).sqrt()
    return result


def _along(directions: Tensor, rows: Tensor) -> Tensor:
    """Components of each row: (N, c, D) and (N, K, D) to (N, K, c)."""
    return rows @ directions.mT


def _variance_and_residual(
    fitted: Tensor, judged: Tensor, wanted: Tensor, components: int
) -> tuple[Tensor, Tensor]:
    directions = principal_directions(fitted.detach(), components)
    along = _along(directions, judged)
    count = along.shape[1]
    distance = _along(directions, wanted.unsqueeze(1)).squeeze(1) - along.mean(dim=1)
    # The mean of K samples varies as well, by a K-th of their variance
    residual = distance.detach().square() * (count / (count + 1))
    return along.var(dim=1), residual
