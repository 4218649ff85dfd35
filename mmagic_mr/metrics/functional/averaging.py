"""What averaging samples does: the mean of 1, 2, 4, ... of them, and their spread."""

import math

import torch
from torch import Tensor

from mmagic_mr.errors import UserError


def average_sizes(num_samples: int, most: int = 32) -> list[int]:
    """How many samples are averaged: the powers of two up to K.

    Example:
        >>> average_sizes(20), average_sizes(100)
        ([1, 2, 4, 8, 16], [1, 2, 4, 8, 16, 32])
    """
    return [2**i for i in range(min(num_samples, most).bit_length())]


def nested_averages(samples: Tensor, sizes: list[int]) -> Tensor:
    """Means of the first 1, 2, 4, ... samples.

    Shape:
        samples (K, C, H, W); result (len(sizes), C, H, W).

    Example:
        >>> nested_averages(torch.tensor([1., 3., 5., 7.]), [1, 2, 4]).tolist()
        [1.0, 2.0, 4.0]
    """
    return torch.stack([samples[:size].mean(0) for size in sizes])


def exact_gain(size: int) -> float:
    r"""What the mean of k samples of an exact sampler gains over one of them, in dB.

    .. math:: 10 \log_{10} \frac{2k}{k + 1}

    of the mean squared error: 2 v for one sample, v (k+1)/k for the mean; 3.01 dB at
    most. More is gained by an over-dispersed sampler, less by an under-dispersed one.

    Example:
        >>> round(exact_gain(8), 3)
        2.499
    """
    return 10 * math.log10(2 * size / (size + 1))


def average_std(samples: Tensor, ddof: int = 1) -> float:
    r"""Average pixel standard deviation of K samples (APSD).

    .. math:: \overline{\sqrt{\tfrac1{K - d} \sum_k (s_k - \bar s)^2}}

    The root is taken before the average, so that it lies below the spread of
    `image_calibration`, and K samples of a Gaussian have c4(K) times their standard
    deviation with ddof 1.

    Args:
        samples: of one input.
        ddof: d, 1 or 0; papers have used both.

    Shape:
        samples (K, C, H, W).

    Reference:
        Bendel et al., A Regularized Conditional GAN for Posterior Sampling in Image
        Recovery Problems, NeurIPS 2023 (APSD).

    Example:
        >>> samples = torch.tensor([1., 3.]).view(2, 1, 1, 1)
        >>> average_std(samples, ddof=0), round(average_std(samples), 4)
        (1.0, 1.4142)
    """
    if len(samples) < 2:
        raise UserError(
            f'a spread needs 2 samples per input at least, got {len(samples)}: add '
            '--cfg-options model.eval_num_samples=20'
        )
    return samples.double().std(0, correction=ddof).mean().item()
