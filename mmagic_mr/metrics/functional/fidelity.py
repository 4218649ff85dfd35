"""Do the samples look like real images?

Distances between two sets of images, computed on their features.
"""

from functools import partial

import torch
from torch import Tensor

from mmagic_mr.errors import UserError


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    r"""FID's formula on features, by torch-fidelity.

    .. math:: |\mu_r - \mu_f|^2 + \operatorname{tr}(\Sigma_r + \Sigma_f
              - 2 (\Sigma_r \Sigma_f)^{1/2})

    Shape:
        real (N, D), fake (M, D).

    Reference:
        Heusel et al., NeurIPS 2017.
    """
    from torch_fidelity.metric_fid import (
        KEY_METRIC_FID,
        fid_features_to_statistics,
        fid_statistics_to_metric,
    )

    _check_features(real, fake)
    stats = [fid_features_to_statistics(f.double().cpu()) for f in (real, fake)]
    return fid_statistics_to_metric(*stats, verbose=False)[KEY_METRIC_FID]


def kernel_distance(
    real: Tensor,
    fake: Tensor,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """KID's formula on features, by torch-fidelity: cubic kernel, unbiased, subsets.

    Args:
        subset_size: lowered to the smaller set.

    Returns:
        Mean and standard deviation over the subsets.

    Reference:
        Bińkowski et al., ICLR 2018.
    """
    from torch_fidelity.metric_kid import (
        KEY_METRIC_KID_MEAN,
        KEY_METRIC_KID_STD,
        kid_features_to_metric,
    )

    _check_features(real, fake)
    size = min(subset_size, len(real), len(fake))
    if size == len(real) == len(fake):
        subsets = 1  # each subset would be the whole
    found = kid_features_to_metric(
        fake.double(),
        real.double(),
        kid_subsets=subsets,
        kid_subset_size=size,
        rng_seed=seed,
        verbose=False,
    )
    return found[KEY_METRIC_KID_MEAN], found[KEY_METRIC_KID_STD]


def precision_recall(
    real: Tensor, fake: Tensor, neighbors: int = 3
) -> tuple[float, float]:
    """Improved precision and recall on features, by torch-fidelity.

    Reference:
        Kynkäänniemi et al., NeurIPS 2019.

    Example:
        >>> real = torch.arange(8.).view(8, 1)
        >>> precision_recall(real, real), precision_recall(real, real + 100)
        ((1.0, 1.0), (0.0, 0.0))
    """
    from torch_fidelity.metric_prc import (
        KEY_METRIC_PRECISION,
        KEY_METRIC_RECALL,
        prc_features_to_metric,
    )

    _check_features(real, fake, neighbors)
    found = prc_features_to_metric(
        fake.double(), real.double(), verbose=False, prc_neighborhood=neighbors
    )
    return found[KEY_METRIC_PRECISION], found[KEY_METRIC_RECALL]


def density_coverage(
    real: Tensor, fake: Tensor, neighbors: int = 5
) -> tuple[float, float]:
    r"""Density and coverage on features.

    With B(r) the ball around a real image that reaches its k-th neighbor:

    .. math:: \frac{1}{kM} \sum_{f} \sum_{r} [f \in B(r)], \qquad
              \frac1N \sum_r [\exists f \in B(r)]

    Args:
        real, fake: (N, D) and (M, D).
        neighbors: k; more than k images are needed.

    Returns:
        Density (about 1 for real images, not bounded by it) and coverage (0..1).

    Reference:
        Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models,
        ICML 2020.

    Example:
        >>> real = torch.arange(8.).view(8, 1)
        >>> density_coverage(real, real[:4], neighbors=1)
        (2.75, 0.625)
    """
    _check_features(real, fake, neighbors)
    real, fake = real.double(), fake.double()
    # The exact form: the fast one is off where a distance is 0.
    distance = partial(torch.cdist, compute_mode='donot_use_mm_for_euclid_dist')
    radii = distance(real, real).kthvalue(neighbors + 1, dim=1).values
    inside = distance(real, fake) <= radii[:, None]
    density = inside.sum().item() / (neighbors * len(fake))
    return density, inside.any(1).double().mean().item()


def _check_features(real, fake, neighbors=1):
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(
            'features of shape (N, D) and (M, D) are needed, not '
            f'{tuple(real.shape)} and {tuple(fake.shape)}'
        )
    if min(len(real), len(fake)) <= neighbors:
        raise UserError(
            f'{len(real)} real and {len(fake)} fake images; more than '
            f'{max(neighbors, 1)} of each are needed'
        )
    if not (real.isfinite().all() and fake.isfinite().all()):
        raise UserError(
            'features are not finite: is the input range of the extractor right?'
        )
