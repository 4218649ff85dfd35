"""The variogram score: how much neighbors differ, and nothing else."""

from torch import Tensor

from mmagic_mr.errors import UserError
from mmagic_mr.functional.checks import check_number, check_samples, check_target
from mmagic_mr.functional.pairs import SQUARED_DISTANCE_FLOOR
from mmagic_mr.functional.variance import mean_and_variance


def variogram_score(
    samples: Tensor,
    target: Tensor,
    offset: tuple[int, int] = (0, 1),
    p: float = 0.5,
    fair: bool = True,
) -> Tensor:
    r"""Variogram score of K samples, for the neighbors at one offset.

    .. math::
        \left( |y_i - y_j|^p - \frac1K \sum_k |s_{ki} - s_{kj}|^p \right)^2
        - \frac{v}{K}

    with v the unbiased variance over the samples of :math:`|s_{ki} - s_{kj}|^p`. The
    last term makes it fair: without it (fair=False) the score is too large by v/K on
    average, which prefers too small a spread.

    The score sees how neighbors go together better than any score of single elements.
    It is proper, not strictly so: it is blind to the mean, and to any sign. Samples
    that are shifted, or negatives of the right ones, cost nothing. It stands beside
    another loss, never alone.

    Args:
        samples: K samples per input, in any units.
        target: The data y, in the units of the samples.
        offset: Rows and columns from an element to its neighbor; rows are at least 0,
            columns may be negative.
        p: Power of the differences, positive. With a small one large differences, as
            at edges, weigh less.
        fair: Whether to subtract v/K.

    Returns:
        The score per pair of neighbors, in the units of the samples to the power 2p.
        A fair one may be negative.

    Shape:
        samples (N, K, C, H, W); target (N, C, H, W); result (N, C, H - rows,
        W - abs(columns)).

    Raises:
        UserError: On p or an offset out of range, wrong shapes, or K < 2.

    Reference:
        Scheuerer and Hamill, Variogram-based proper scoring rules for probabilistic
        forecasts of multivariate quantities, MWR 2015.

    Example:
        >>> import torch
        >>> samples = torch.tensor([[0., 1.], [0., 3.]]).reshape(1, 2, 1, 1, 2)
        >>> target = torch.tensor([0., 4.]).reshape(1, 1, 1, 2)
        >>> variogram_score(samples, target, p=1.0, fair=False).item()  # (4 - 2)^2
        4.0
        >>> variogram_score(samples, target, p=1.0).item()  # less 2 / 2
        3.0
    """
    check_number('p', p, 'positive', 0, ends=False)
    samples = check_samples(samples, 2, 'The variogram score')
    target = check_target(target, samples)
    wanted = _variogram(target, offset, p)
    found = _variogram(samples, offset, p)
    mean, variance = mean_and_variance(found)
    score = (wanted - mean).square()
    return score - variance / samples.shape[1] if fair else score


def neighbors(images: Tensor, offset: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Each element that has a neighbor at the offset, and that neighbor.

    Shape:
        (..., H, W) to two of (..., H - rows, W - abs(columns)).

    Raises:
        UserError: On an offset that is none, or beyond the images.

    Example:
        >>> import torch
        >>> first, second = neighbors(torch.arange(6.0).view(2, 3), (1, -1))
        >>> first.tolist(), second.tolist()
        ([[1.0, 2.0]], [[3.0, 4.0]])
    """
    check_offset(offset)
    (rows, columns), (height, width) = offset, images.shape[-2:]
    if rows >= height or abs(columns) >= width:
        raise UserError(
            f'offset {tuple(offset)} leads out of images of {height} x {width}; '
            'take a smaller one.'
        )
    left, right = max(-columns, 0), max(columns, 0)
    first = images[..., : height - rows, left : width - right]
    return first, images[..., rows:, right : width - left]


def check_offset(offset: tuple[int, int]) -> None:
    """Refuse an offset to the element itself, or to rows above.

    Raises:
        UserError: If it is one.
    """
    rows, columns = offset
    if rows < 0 or (rows == 0 and columns <= 0):
        raise UserError(
            'an offset must be (rows, columns) with rows above 0, or rows 0 and '
            f'columns above 0, got {tuple(offset)}.'
        )


def _variogram(images: Tensor, offset: tuple[int, int], p: float) -> Tensor:
    first, second = neighbors(images, offset)
    # A root of 0 has no gradient.
    square = (first - second).square().clamp(min=SQUARED_DISTANCE_FLOOR)
    return square.pow(p / 2)
