"""Which inputs, how many samples, which pairs: what a diversity number depends on."""

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np

from mmagic_mr.errors import UserError


class Protocol(NamedTuple):
    """Which inputs, how many samples, which pairs of them.

    Args:
        inputs: how many inputs, spread evenly over the dataset; None: all of them.
        samples: how many samples of each; None: as many as the run draws.
        description: the protocol in words, for reports.
        pairs: (number of samples, random generator) to (P, 2) indices.
    """

    inputs: int | None
    samples: int | None
    description: str
    pairs: Callable[[int, np.random.Generator], np.ndarray]


def _all_pairs(count, rng=None):
    return np.array(list(combinations(range(count), 2)))


def _random_pairs(count, rng):
    pairs = _all_pairs(count)
    return pairs[rng.choice(len(pairs), 10, replace=False)]


def _consecutive_pairs(count, rng):
    return np.stack([np.arange(count - 1), np.arange(1, count)], 1)


def _disjoint_pairs(count, rng):
    return rng.permutation(count).reshape(-1, 2)


PROTOCOLS = {
    'lee2019': Protocol(
        300, 20, '300 inputs x 20 samples, 10 random pairs per input', _random_pairs
    ),
    'zhu2017': Protocol(
        100,
        20,
        '100 inputs x 20 samples, 19 consecutive pairs per input',
        _consecutive_pairs,
    ),
    'huang2018': Protocol(
        100,
        38,
        '100 inputs x 38 samples, 19 disjoint random pairs per input',
        _disjoint_pairs,
    ),
    'all-pairs': Protocol(
        None, None, 'all inputs, all pairs of all samples', _all_pairs
    ),
}


def find_protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        UserError: there is none; lists those that there are.
    """
    if name not in PROTOCOLS:
        raise UserError(f'protocols: no {name!r}; there are {", ".join(PROTOCOLS)}')
    return PROTOCOLS[name]


def check_num_samples(protocol: str, available: int) -> int:
    """K that the protocol uses, out of `available` samples of each input.

    Raises:
        UserError: too few samples; names the number needed and how to get it.

    Example:
        >>> check_num_samples('lee2019', 24)
        20
        >>> check_num_samples('huang2018', 20)
        Traceback (most recent call last):
        mmagic_mr.errors.UserError: protocol huang2018 needs 38 samples per input...
    """
    needed = find_protocol(protocol).samples or max(available, 2)
    if available < needed:
        raise UserError(
            f'protocol {protocol} needs {needed} samples per input, and the model drew '
            f'{available}: add --cfg-options model.eval_num_samples={needed}'
        )
    return needed


def choose_inputs(total: int, wanted: int | None) -> list[int]:
    """Which of `total` inputs to use: `wanted` of them, evenly spaced, or all.

    Example:
        >>> choose_inputs(10, 4)
        [0, 2, 5, 7]
        >>> choose_inputs(3, 300)
        [0, 1, 2]
    """
    if wanted is None or wanted >= total:
        return list(range(total))
    return [i * total // wanted for i in range(wanted)]


def choose_pairs(protocol: str, num_samples: int, seed: int, index: int) -> np.ndarray:
    """The pairs of samples to compare for one input.

    Args:
        protocol: name in `PROTOCOLS`.
        num_samples: samples that there are.
        seed: of the whole evaluation.
        index: of the input in its dataset: each gets pairs of its own, the same ones
            in whatever order and on however many processes the inputs come.

    Returns:
        (P, 2) indices below `check_num_samples(protocol, num_samples)`.
    """
    count = check_num_samples(protocol, num_samples)
    rng = np.random.default_rng([seed, index])
    return find_protocol(protocol).pairs(count, rng)


def real_ring(count: int, seed: int) -> np.ndarray:
    """Pairs of different real images for the ceiling: neighbors on a random ring.

    Each image is in two pairs; two images make one pair, fewer none.

    Shape:
        (count, 2).
    """
    order = np.random.default_rng([seed, count]).permutation(count)
    pairs = np.stack([order, np.roll(order, -1)], 1)
    return pairs[: max(0, count - 1)] if count < 3 else pairs
