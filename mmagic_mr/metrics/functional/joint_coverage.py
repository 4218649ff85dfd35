"""Is the target one more sample, as a whole picture? A test by random references."""

import numpy as np
import torch
from torch import Tensor

from mmagic_mr.metrics.functional.calibration import target_ranks


def tarp_ranks(
    samples: Tensor,
    target: Tensor,
    references: Tensor,
    weight: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""How many of the K samples are nearer to a reference than the target is.

    Where the target is one more draw from the samples' law, each of 0..K is as likely
    as any other, whatever the reference, as long as it does not depend on the target.

    Args:
        samples: of one input.
        target: of the same input.
        references: points in the space of the target, not drawn from it.
        weight: of the elements in the squared distance; None: all alike.
        generator: of ties.

    Shape:
        samples (K, D), target (D,), references (R, D), weight (D,); result (R,).

    Reference:
        Lemos et al., Sampling-Based Accuracy Testing of Posterior Estimators for
        General Inference, ICML 2023 (TARP), algorithm 2.

    Example:
        >>> samples, target = torch.tensor([[1.], [2.], [5.]]), torch.tensor([4.])
        >>> tarp_ranks(samples, target, torch.tensor([[0.], [4.4]])).tolist()
        [2, 0]
    """
    if weight is not None:
        root = weight.double().sqrt()
        samples, target, references = (v * root for v in (samples, target, references))
    samples, target, references = (
        v.double().cpu() for v in (samples, target, references)
    )
    # The exact form: a rank must not turn on the rounding of the fast one
    exact = 'donot_use_mm_for_euclid_dist'
    return target_ranks(
        torch.cdist(samples, references, compute_mode=exact),
        torch.cdist(target[None], references, compute_mode=exact)[0],
        generator,
    )


def rank_shares(ranks: Tensor, num_samples: int) -> np.ndarray:
    """Share of each of the ranks 0..K.

    Example:
        >>> rank_shares(torch.tensor([0, 2, 2, 1]), 3).tolist()
        [0.25, 0.25, 0.5, 0.0]
    """
    counts = torch.bincount(ranks.flatten(), minlength=num_samples + 1)
    return (counts.double() / ranks.numel()).numpy()


def expected_coverage(shares) -> np.ndarray:
    r"""Expected coverage at the levels 0, 1/(K+1), ..., 1: the shares, added up.

    The region of credibility j/(K+1) is the ball around the reference that holds j of
    K + 1 draws; this is the share of targets inside. An exact sampler's is the level.

    Shape:
        shares (..., K + 1); result (..., K + 2).

    Example:
        >>> expected_coverage([0.5, 0.25, 0.25]).tolist()
        [0.0, 0.5, 0.75, 1.0]
    """
    shares = np.asarray(shares, dtype=float)
    nothing = np.zeros((*shares.shape[:-1], 1))
    return np.concatenate([nothing, shares.cumsum(-1)], axis=-1)


def largest_gap(shares) -> np.ndarray:
    """Largest distance of the expected coverage from its level.

    Shape:
        shares (..., K + 1); result (...).

    Example:
        >>> largest_gap([0.5, 0.0, 0.5]).round(4).item()
        0.1667
    """
    reached = expected_coverage(shares)
    return np.abs(reached - np.linspace(0, 1, reached.shape[-1])).max(-1)
