"""How far apart the samples of one input are, by a protocol that has a name."""

from typing import Protocol

import torch
from torch import Tensor

from mmagic_mr.errors import UserError
from mmagic_mr.metrics.functional.protocols import check_num_samples, choose_pairs


class Distance(Protocol):
    """A distance between images that takes pairs of them by index."""

    def pairs(
        self, images: Tensor, pairs: Tensor, mask: Tensor | None = None
    ) -> Tensor: ...


def sample_diversity(
    samples: Tensor,
    distance: Distance,
    protocol: str,
    seed: int = 0,
    index: int = 0,
    mask: Tensor | None = None,
) -> float:
    r"""Mean distance between samples of one input.

    .. math:: \frac1{|P|} \sum_{(k,l) \in P} d(G(x, z_k), G(x, z_l))

    Args:
        samples: K images, RGB in [0, 1].
        distance: see :mod:`mmagic_mr.metrics.networks.perceptual`.
        protocol: name in `PROTOCOLS`; it chooses P.
        seed, index: see `choose_pairs`.
        mask: where the distance counts, 1 in the hole of an inpainting; None: all over.

    Shape:
        samples (K, 3, H, W), mask (1, 1, H, W).

    Raises:
        UserError: too few samples for the protocol, or an empty mask.

    Reference:
        Lee et al., ICLR 2019, section 5.2; Zhu et al., NeurIPS 2017; Huang et al.,
        ECCV 2018.

    Example:
        >>> from mmagic_mr.metrics.networks.perceptual import PixelDistance
        >>> gray = torch.arange(20.).view(20, 1, 1, 1).expand(20, 3, 4, 4) / 20
        >>> round(sample_diversity(gray, PixelDistance(), 'zhu2017'), 6)
        0.05
    """
    if mask is not None and not mask.any():
        raise UserError(f'input {index}: the mask of the hole is empty')
    pairs = torch.from_numpy(choose_pairs(protocol, len(samples), seed, index))
    used = check_num_samples(protocol, len(samples))
    return distance.pairs(samples[:used], pairs, mask).mean().item()
