"""Noise between two samples, and noise near one.

Both are of the distance of z from the mean of its type. Discrete noise so leaves its
values for what lies between them, which the network sees in no training.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from mmagic_mr.sampling import NoiseInput, draw_noise
from mmagic_mr.sampling.noise import GLOBAL, noise_mean

Noise = Mapping[str, Tensor]  # (K, C, h, w) at each site


def noise_types(model) -> dict[str, str]:
    """The type of the noise at each site of a model, by the names in ``z``."""
    inputs = [m for m in model.sampled_network.modules() if isinstance(m, NoiseInput)]
    return {
        GLOBAL if one.extent == 'global' else one.site: one.noise_type for one in inputs
    }


def between(z: Noise, a: int, b: int, steps: int, types: Mapping[str, str]) -> Noise:
    """Noise on the way from sample a to sample b, both included.

    At each site it goes on the arc between the two and not on the straight line, so
    that it keeps its length, which is what the network knows.

    Shape:
        (K, C, h, w) at each site to (steps, C, h, w).

    Reference:
        White, "Sampling Generative Networks", 2016.

    Example:
        >>> z = {'conv': torch.eye(2).view(2, 2, 1, 1)}
        >>> between(z, 0, 1, 3, {'conv': 'gaussian'})['conv'].flatten(1)[1]
        tensor([0.7071, 0.7071])
    """
    way = {}
    for site, value in z.items():
        mean = noise_mean(types[site], value.shape[1])
        way[site] = mean + _arc(value[a] - mean, value[b] - mean, steps)
        way[site][0], way[site][-1] = value[a], value[b]  # without rounding
    return way


def near(
    z: Noise,
    index: int,
    num_samples: int,
    distance: float,
    seed: int,
    types: Mapping[str, str],
    temperature: float = 1.0,
) -> Noise:
    """Noise near that of one sample: sqrt(1 - d^2) z + d e, with fresh noise e.

    Without its mean, that is; so it keeps the variance of the noise.

    Args:
        z: (K, C, h, w) at each site.
        index: Of the sample.
        num_samples: How many to make.
        distance: d, from 0, the sample itself, to 1, no relation to it.
        seed: Of the fresh noise.
        types: By site.
        temperature: That z was drawn with.

    Shape:
        (K, C, h, w) at each site to (num_samples, C, h, w).
    """
    generator = torch.Generator().manual_seed(seed)
    kept = (1 - distance**2) ** 0.5
    result = {}
    for site, value in z.items():
        fresh = draw_noise(types[site], (num_samples, *value.shape[1:]), generator)
        mean = noise_mean(types[site], value.shape[1])
        moved = kept * (value[index] - mean) + distance * temperature * (fresh - mean)
        result[site] = mean + moved
    return result


def _arc(a: Tensor, b: Tensor, steps: int) -> Tensor:
    part = torch.linspace(0, 1, steps).view(-1, *[1] * a.ndim)
    cosine = torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0)
    angle = torch.arccos(cosine.clamp(-1, 1))
    if torch.sin(angle) < 1e-4:  # the same, or opposite: no arc, or no one arc
        return torch.lerp(a, b, part)
    weights = torch.sin((1 - part) * angle), torch.sin(part * angle)
    return (weights[0] * a + weights[1] * b) / torch.sin(angle)
