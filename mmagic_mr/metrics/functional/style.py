"""Which of some styles pictures have, and whether two parts of them have the same."""

import torch
from torch import Tensor


def nearest_style(points: Tensor, styles: Tensor) -> tuple[Tensor, Tensor]:
    """The style that is nearest to each point, and its distance.

    Args:
        points: K pictures.
        styles: the same in each of F styles.

    Shape:
        points (K, D), styles (F, D) to two (K,).

    Example:
        >>> nearest_style(torch.tensor([[2.]]), torch.tensor([[0.], [3.]]))
        (tensor([1]), tensor([1.]))
    """
    distance, which = torch.cdist(points, styles).min(1)
    return which, distance


def nearest_other(styles: Tensor) -> tuple[Tensor, Tensor]:
    """For each style the nearest one of the others, and its distance.

    Shape:
        (F, D) to two (F,).

    Example:
        >>> nearest_other(torch.tensor([[0.], [3.], [5.]]))
        (tensor([1, 2, 1]), tensor([3., 2., 2.]))
    """
    distances = torch.cdist(styles, styles)
    distance, which = distances.fill_diagonal_(torch.inf).min(1)
    return which, distance


def agreement(left: Tensor, right: Tensor) -> tuple[float, float]:
    """How often two parts have one style, and how often parts of different pictures.

    Args:
        left: style of one part of K pictures, K at least 2.
        right: that of the other part.

    Returns:
        Share of the K pictures; share of all K (K - 1) pairs of two pictures, which is
        what parts have that know nothing of each other.

    Shape:
        (K,) each.

    Example:
        >>> agreement(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 1]))
        (0.6666666666666666, 0.16666666666666666)
    """
    same = (left[:, None] == right).double()
    count = len(left)
    own = same.trace()
    return float(own / count), float((same.sum() - own) / (count * (count - 1)))


def expected_reached(draws: int, styles: int) -> float:
    """Styles that so many draws reach on average, where all are equally likely.

    Example:
        >>> expected_reached(2, 2)
        1.5
    """
    return styles * (1 - (1 - 1 / styles) ** draws)
