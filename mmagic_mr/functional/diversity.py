"""Terms that ask for diversity and have no optimum: baselines, each with its fault.

Each stands beside a reconstruction or a GAN loss. None is a scoring rule: how spread
out the samples become is a matter of its weight, not of the data.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from mmagic_mr.errors import UserError
from mmagic_mr.functional.checks import (
    check_choice,
    check_samples,
    check_shape,
    check_target,
    full_precision,
)
from mmagic_mr.functional.pairs import (
    SQUARED_DISTANCE_FLOOR,
    by_pair,
    mean_difference,
    pairs_of,
)
from mmagic_mr.functional.processes import process_mean
from mmagic_mr.functional.reduction import masked_mean, patch_mask

DSGAN_ESTIMATORS = ('paper', 'released')
EPSILON = 1e-5


def mode_seeking(
    samples: Tensor, noise: Mapping[str, Tensor], mask: Tensor | None = None
) -> Tensor:
    r"""Mode seeking regularizer: small where samples differ as much as their noise.

    .. math::
        1 \Big/ \left( \frac{\overline{|s_k - s_l|}}{\overline{|z_k - z_l|}}
        + 10^{-5} \right)

    with means over pairs k < l, elements (of z: of all sites) and inputs.

    Its fault: where the samples collapse the value is 1e5 and the slope 1e10, so that
    one bad step ends a training; and it is always better for the samples to be further
    apart.

    Args:
        samples: K samples per input, in any units.
        noise: z of these samples, by the name of its site.
        mask: 1 where an element of the images counts.

    Returns:
        A scalar.

    Shape:
        samples (N, K, C, H, W); noise (N, K, c, h, w) each; mask (N, 1, H, W).

    Raises:
        UserError: If there is no noise, on wrong shapes, or K < 2.

    Reference:
        Mao et al., Mode seeking generative adversarial networks for diverse image
        synthesis, CVPR 2019, equation 5.

    Example:
        >>> import torch
        >>> z = torch.randn(1, 2, 1, 1, 1)
        >>> round(mode_seeking(0.5 * z, {'site': z}).item(), 3)
        2.0
    """
    samples = check_samples(samples, 2, 'Mode seeking')
    apart = process_mean(masked_mean(mean_difference(samples), mask))
    values = [mean_difference(z).flatten() for z in _checked(noise, samples)]
    inverse = 1 / (apart / process_mean(torch.cat(values).mean()) + EPSILON)
    if mask is None:
        return inverse
    inside = process_mean((mask > 0).any().to(inverse.dtype))
    return torch.where(inside > 0, inverse, 0)


def dsgan(
    samples: Tensor,
    noise: Mapping[str, Tensor],
    tau: float = 1.0,
    estimator: str = 'paper',
    mask: Tensor | None = None,
) -> Tensor:
    r"""Diversity-sensitive regularizer: distance of samples per distance of noise.

    .. math::
        - \frac1N \sum_n \overline{\min \left(
        \frac{d_{kl}}{z_{kl} + 10^{-5}}, \tau \right)}

    with the mean absolute differences d of two samples and z of their noise (of all
    sites), and the mean over pairs k < l.

    Its fault: the spread that it wants is tau times that of the noise, for every input
    and place, whatever the data. estimator='released' is the authors' code, which
    bounds the negative mean from above by tau, and so not at all.

    Args:
        samples: K samples per input, in any units.
        noise: z of these samples, by the name of its site.
        tau: Largest ratio that is rewarded, positive, in the units of the samples.
        estimator: 'paper' or 'released'.
        mask: 1 where an element of the images counts.

    Returns:
        A scalar, not positive.

    Shape:
        samples (N, K, C, H, W); noise (N, K, c, h, w) each; mask (N, 1, H, W).

    Raises:
        UserError: On an unknown estimator, without noise, on wrong shapes, or K < 2.

    Reference:
        Yang et al., Diversity-sensitive conditional generative adversarial networks,
        ICLR 2019, equation 2.

    Example:
        >>> import torch
        >>> z = torch.randn(1, 3, 1, 1, 1)
        >>> round(dsgan(0.5 * z, {'site': z}).item(), 3), dsgan(3 * z, {'site': z})
        (-0.5, tensor(-1.))
    """
    check_choice('estimator', estimator, DSGAN_ESTIMATORS)
    samples = check_samples(samples, 2, 'The loss of DSGAN')
    inside = _inside(samples, mask)
    apart = by_pair(samples, lambda a, b: _mean((a - b).abs(), inside))
    ratio = apart / (_noise_distances(noise, samples, power=1) + EPSILON)
    if estimator == 'paper':
        return -_mean_of_images(ratio.clamp(max=tau), mask)
    return (-_mean_of_images(ratio, mask)).clamp(max=tau)


def ndiv(
    samples: Tensor,
    noise: Mapping[str, Tensor],
    alpha: float = 0.8,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Normalized diversification: distances of samples go as those of their noise.

    .. math::
        \overline{\max(0, \alpha D^z_{kl} - D^s_{kl})}, \quad
        D_{kl} = \frac{\|\cdot_k - \cdot_l\|}{\sum_j \|\cdot_k - \cdot_j\|}

    with Euclidean norms over the image and over z of all sites, the mean over all
    :math:`k \ne l`, and no gradient through the denominators.

    Its fault: it is blind to the amount. Samples that differ by 1e-6 in the right
    proportions have the loss 0; and two samples always have them. Distances of noise of
    many numbers are all about the same, and so are those of unrelated samples: then the
    loss is 0 from the beginning, if alpha is below 1.

    Args:
        samples: K samples per input, in any units.
        noise: z of these samples, by the name of its site.
        alpha: How much of the proportion is asked for.
        mask: 1 where an element of the images counts.

    Returns:
        A scalar without units, not negative.

    Shape:
        samples (N, K, C, H, W); noise (N, K, c, h, w) each; mask (N, 1, H, W).

    Raises:
        UserError: If there is no noise, on wrong shapes, or K < 3.

    Reference:
        Liu et al., Normalized diversification, CVPR 2019, equations 3 to 5.

    Example:
        >>> import torch
        >>> z = torch.randn(1, 4, 1, 1, 1)
        >>> ndiv(0.01 * z, {'site': z}).item()
        0.0
    """
    samples = check_samples(samples, 3, 'Normalized diversification')
    inside = _inside(samples, mask)
    squares = by_pair(samples, lambda a, b: ((a - b).square() * inside).sum((1, 2, 3)))
    apart = squares.clamp(min=SQUARED_DISTANCE_FLOOR).sqrt()
    wanted = _noise_distances(noise, samples, power=2)
    k = samples.shape[1]
    first, second = pairs_of(k, samples.device)
    # Each pair as seen from either of its samples: the denominators differ
    terms = [
        alpha * _share(wanted, k, of, first, second)
        - _share(apart, k, of, first, second)
        for of in (first, second)
    ]
    return _mean_of_images(torch.cat(terms, dim=1).relu(), mask)


def best_of_k(samples: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    r"""Least squared distance of K samples from the data, per image.

    .. math:: \min_k \overline{(s_k - y)^2}

    Its fault: the spread that it prefers is a matter of K. For single Gaussian numbers
    the standard deviation is 0.55, 1.00, 1.35 and 1.60 of the data's with K = 2, 4, 10
    and 32; of an image, where K samples cover nothing, it is far less.

    Args:
        samples: K samples per input, in any units.
        target: The data y, in the units of the samples.
        mask: 1 where an element counts.

    Returns:
        The distance per image, in the squared units of the samples, not reduced.

    Shape:
        samples (N, K, C, H, W); target (N, C, H, W); mask (N, 1, H, W); result
        (N, 1, 1, 1).

    Raises:
        UserError: On wrong shapes.

    Reference:
        Li and Malik, Implicit maximum likelihood estimation, 2018. Fan et al., A point
        set generation network for 3D object reconstruction, CVPR 2017 (min-of-N).

    Example:
        >>> import torch
        >>> samples = torch.tensor([0., 2.]).reshape(1, 2, 1, 1, 1)
        >>> best_of_k(samples, torch.full((1, 1, 1, 1), 3.0)).item()
        1.0
    """
    samples = check_samples(samples, 1, 'The best of K')
    target = check_target(target, samples)
    inside = _inside(samples, mask)
    rows = samples.unbind(dim=1)
    distances = [_mean((row - target).square(), inside) for row in rows]
    return torch.stack(distances).amin(dim=0).view(-1, 1, 1, 1)


def _inside(samples: Tensor, mask: Tensor | None) -> Tensor:
    """A weight of each element: (N, C, H, W)."""
    n, _, channels, height, width = samples.shape
    if mask is None:
        return samples.new_ones(()).expand(n, channels, height, width)
    mask = check_shape(mask, (n, 1, height, width), 'mask')
    return mask.to(samples.dtype).expand(-1, channels, -1, -1)


def _mean(values: Tensor, inside: Tensor) -> Tensor:
    """Of each image: (N, C, H, W) to (N,)."""
    count = inside.sum((1, 2, 3))
    return (values * inside).sum((1, 2, 3)) / torch.where(count > 0, count, 1)


def _mean_of_images(values: Tensor, mask: Tensor | None) -> Tensor:
    """Over the images that have something inside: (N, P) to a scalar."""
    counted = None if mask is None else patch_mask(mask, None)
    return masked_mean(values[..., None, None], counted)


def _checked(noise: Mapping[str, Tensor], samples: Tensor) -> list[Tensor]:
    if not noise:
        raise UserError(
            'the noise of the samples is needed, and there is none: give the model '
            'noise=dict(sites=...), or leave this loss out.'
        )
    for name, z in noise.items():
        if z.shape[:2] != samples.shape[:2]:
            raise UserError(
                f'noise of {name!r} must have the shape (N, K, ...) with (N, K) = '
                f'{tuple(samples.shape[:2])} as the samples have, got {tuple(z.shape)}.'
            )
    return [full_precision(z.detach()) for z in noise.values()]


def _noise_distances(
    noise: Mapping[str, Tensor], samples: Tensor, power: int
) -> Tensor:
    """Of each pair, over all sites: mean absolute difference, or Euclidean norm (2)."""
    values = _checked(noise, samples)
    sums = [
        by_pair(z.flatten(2), lambda a, b: (a - b).abs().pow(power).sum(1))
        for z in values
    ]
    total = torch.stack([part.to(samples.dtype) for part in sums]).sum(dim=0)
    if power == 2:
        return total.sqrt()
    return total / sum(z[0, 0].numel() for z in values)


def _share(
    distances: Tensor, samples: int, of: Tensor, first: Tensor, second: Tensor
) -> Tensor:
    """Each pair's distance in the sum of all distances of one of its samples."""
    total = distances.new_zeros(len(distances), samples)
    total = total.index_add(1, first, distances.detach())
    total = total.index_add(1, second, distances.detach())
    return distances / total[:, of].clamp(min=SQUARED_DISTANCE_FLOOR)
