"""Refusing what no formula can work with, in one sentence with the value."""

from collections.abc import Collection, Sequence
from math import inf
from typing import Any

import torch
from torch import Tensor

from mmagic_mr.checks import Count, fits
from mmagic_mr.errors import UserError

ORDERS = (1, 2)
ESTIMATORS = ('paper', 'unbiased')


def check_choice(name: str, value: object, valid: Collection[object]) -> None:
    """Refuse a value that is not one of the valid ones, which the message lists.

    Raises:
        UserError: If it is not.

    Example:
        >>> check_choice('order', 2, ORDERS)
    """
    if not any(type(value) is type(one) and value == one for one in valid):
        options = ', '.join(repr(option) for option in valid)
        raise UserError(f'{name} must be one of {options}, got {value!r}.')


def check_number(
    name: str,
    value: Any,
    wanted: str,
    low: float,
    high: float = inf,
    *,
    ends: bool = True,
) -> None:
    """Refuse what is no finite number from low to high.

    Args:
        name: Of the argument, for the message.
        value: What was given.
        wanted: The range in words: '<name> must be <wanted>'.
        low: The least valid number.
        high: The largest valid number.
        ends: Whether low and high are valid themselves.

    Raises:
        UserError: If it is none.

    Example:
        >>> check_number('alpha', 0.95, 'from 0 to 1', 0, 1)
    """
    if not fits(value, float):
        raise UserError(f'{name} must be a finite number, got {value!r}.')
    number = float(value)
    if not (low <= number <= high if ends else low < number < high):
        raise UserError(f'{name} must be {wanted}, got {value!r}.')


def check_min_noise(min_noise: object) -> None:
    """Refuse a `min_noise` that is no number of at least 0."""
    check_number('min_noise', min_noise, 'at least 0', 0)


def check_alpha(alpha: object) -> None:
    """Refuse an `alpha` of the CRPS outside [0, 1]."""
    check_number('alpha', alpha, 'from 0 to 1', 0, 1)


def check_beta(beta: object) -> None:
    """Refuse a `beta` of the energy score outside (0, 2)."""
    check_number('beta', beta, 'above 0 and below 2', 0, 2, ends=False)


def check_patch(patch: object) -> None:
    """Refuse a `patch` that is neither None nor an integer of at least 1."""
    if not fits(patch, Count | None):
        raise UserError(
            'patch must be the side of a square in pixels, 1 or more, or None for the '
            f'whole image, got {patch!r}.'
        )


def least_samples(order: int, estimator: str) -> int:
    """The least K that a moment loss of this order and estimator works with.

    Order 2 needs a dispersion; the 'unbiased' terms of order 2 need the fourth moment,
    or an inverse variance that has an expectation.

    Raises:
        UserError: On an unknown order or estimator.

    Example:
        >>> least_samples(2, 'unbiased')
        4
    """
    check_choice('order', order, ORDERS)
    check_choice('estimator', estimator, ESTIMATORS)
    return {'paper': (1, 2), 'unbiased': (2, 4)}[estimator][order - 1]


def full_precision(values: Tensor) -> Tensor:
    """The values in float32; float64 stays.

    Example:
        >>> full_precision(torch.ones(1, dtype=torch.float16)).dtype
        torch.float32
    """
    return values if values.dtype == torch.float64 else values.float()


def check_samples(samples: Tensor, least: int = 1, what: str = 'This') -> Tensor:
    """K samples per input in full precision, or an error.

    Args:
        samples: K samples per input.
        least: The K that is needed.
        what: Needs them, for the message.

    Returns:
        The samples in float32; float64 stays.

    Shape:
        (N, K, C, H, W) to the same.

    Raises:
        UserError: On another number of dimensions, or a smaller K.
    """
    if samples.ndim != 5:
        raise UserError(
            f'samples must be (N, K, C, H, W), got the shape {tuple(samples.shape)}.'
        )
    if samples.shape[1] < least:
        raise UserError(
            f'{what} needs at least K = {least} samples per input, '
            f'got K = {samples.shape[1]}.'
        )
    return full_precision(samples)


def check_target(target: Tensor, samples: Tensor, name: str = 'target') -> Tensor:
    """One image per input in full precision, of the shape of a sample, or an error.

    Shape:
        target (N, C, H, W); samples (N, K, C, H, W).

    Raises:
        UserError: On another shape.
    """
    return check_shape(target, (samples.shape[0], *samples.shape[2:]), name)


def check_shape(values: Tensor, expected: Sequence[int], name: str) -> Tensor:
    """The values in full precision, or an error if they have another shape.

    Raises:
        UserError: On another shape.
    """
    if tuple(values.shape) != tuple(expected):
        raise UserError(
            f'{name} must have the shape {tuple(expected)}, got {tuple(values.shape)}.'
        )
    return full_precision(values)
