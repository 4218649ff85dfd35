"""Is the spread of the samples right, not just large?

Every number here compares K samples with the one held-out target of the same input, or
with the moments of a predictor, or with true moments. Values are in [0, 1].
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mmagic_mr.errors import UserError
from mmagic_mr.functional import crps
from mmagic_mr.metrics.functional.bootstrap import bootstrap_interval

VERDICTS = ('under-dispersed', 'ok', 'over-dispersed', 'undecided')
# Standard deviation of the rounding to 256 levels: no image is known better than that.
ROUNDING = 1 / 255 / math.sqrt(12)


def target_ranks(
    samples: Tensor, target: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """How many of the K samples lie below the target: 0..K, ties broken at random.

    Shape:
        samples (K, ...), target (...); result (...).

    Example:
        >>> target_ranks(torch.tensor([[1.], [2.], [4.]]), torch.tensor([3.])).item()
        2
    """
    below = (samples < target).sum(0)
    ties = (samples == target).sum(0)
    draw = torch.rand(ties.shape, generator=generator, device='cpu').to(ties.device)
    return below + (draw * (ties + 1)).long().clamp(max=ties)


def gaussian_nll(
    mean: Tensor, var: Tensor, target: Tensor, min_std: float = ROUNDING
) -> Tensor:
    r"""Negative log-density of the target, in nats per value.

    .. math:: \frac{(y - \mu)^2}{2 v} + \frac12 \log v + \frac12 \log 2 \pi

    Args:
        min_std: the least standard deviation believed; that of rounding by default.

    Shape:
        all (...).

    Example:
        >>> zero, one = torch.zeros(1), torch.ones(1)
        >>> round(gaussian_nll(zero, one, zero).item(), 4)
        0.9189
    """
    return F.gaussian_nll_loss(
        mean, target, var, full=True, eps=min_std**2, reduction='none'
    )


def pool(images: Tensor, cell: int) -> Tensor:
    """Mean over cells of `cell` x `cell` pixels; what is left at the edge is dropped.

    Shape:
        (N, C, H, W) to (N, C, H // cell, W // cell).

    Raises:
        UserError: the image is smaller than a cell.
    """
    if min(images.shape[-2:]) < cell:
        raise UserError(
            f'images of {tuple(images.shape[-2:])} pixels have no cell of '
            f'{cell}x{cell}; leave {cell} out of cells'
        )
    return F.avg_pool2d(images, cell) if cell > 1 else images


def cells_inside(mask: Tensor, cell: int) -> Tensor:
    """Which cells lie wholly in the mask.

    Shape:
        (1, H, W) to (H // cell, W // cell), boolean.
    """
    return pool(mask.double()[None], cell)[0, 0] == 1


def image_calibration(
    samples: Tensor,
    target: Tensor,
    cell: int = 1,
    seed: int = 0,
    index: int = 0,
    mask: Tensor | None = None,
) -> dict:
    """What one input says about the calibration of the samples, at one cell size.

    Args:
        samples: K images in [0, 1].
        target: the held-out image of the same input.
        cell: side of the cells that are averaged first; 1: pixels.
        seed, index: of the evaluation and of the input; for ties of ranks.
        mask: where it counts, 1 in the hole of an inpainting: the cells that lie wholly
            inside are used. None: all over.

    Returns:
        Means over the cells: `crps`, `nll`, `var` (unbiased), `error` (squared, of the
        mean of K), `single_error` (squared, of one sample), `bias` (target less mean),
        and `ranks`, the share of each of the K + 1 ranks.

    Shape:
        samples (K, C, H, W), target (C, H, W), mask (1, H, W).
    """
    _check_k(samples)
    if samples.shape[1:] != target.shape:
        raise UserError(
            f'samples of shape {tuple(samples.shape)} against a target of '
            f'shape {tuple(target.shape)}'
        )
    samples = pool(samples.double(), cell)
    target = pool(target.double()[None], cell)[0]
    if mask is not None:
        inside = cells_inside(mask, cell)
        if not inside.any():
            raise UserError(
                f'input {index}: no cell of {cell}x{cell} lies in the '
                f'hole; leave {cell} out of cells'
            )
        samples, target = samples[..., inside], target[..., inside]
    mean, var = samples.mean(0), samples.var(0)
    generator = torch.Generator().manual_seed(
        int(np.random.SeedSequence([seed, index, cell]).generate_state(1)[0])
    )
    ranks = target_ranks(samples, target, generator)
    counts = torch.bincount(ranks.flatten(), minlength=len(samples) + 1)
    return dict(
        crps=_crps(samples, target).mean().item(),
        nll=gaussian_nll(mean, var, target).mean().item(),
        var=var.mean().item(),
        error=((mean - target) ** 2).mean().item(),
        single_error=((samples - target) ** 2).mean().item(),
        bias=(target - mean).mean().item(),
        ranks=(counts.double() / ranks.numel()).tolist(),
    )


def moment_error(
    samples: Tensor, mean: Tensor, var: Tensor, mask: Tensor | None = None
) -> dict:
    r"""How far the moments of K samples are from given ones, for one input.

    Args:
        samples: K images in [0, 1].
        mean, var: of the predictor, or the true ones, in the same units.
        mask: see `image_calibration`.

    Returns:
        Means over the pixels: `mean_error`, the squared error of the sample mean less
        the var/K that K samples cannot avoid (it may be slightly negative),
        `sample_var` and `var`, and `std_error`, the squared error of the standard
        deviation (finite K is in it: about var/(2(K-1)) for an exact sampler).

    Shape:
        samples (K, C, H, W), mean and var (C, H, W), mask (1, H, W).
    """
    _check_k(samples)
    samples, mean, var = samples.double(), mean.double(), var.double()
    if mask is not None:
        inside = mask[0] == 1
        samples, mean, var = samples[..., inside], mean[..., inside], var[..., inside]
    found = samples.var(0)
    error = (samples.mean(0) - mean) ** 2 - found / len(samples)
    return dict(
        mean_error=error.mean().item(),
        sample_var=found.mean().item(),
        var=var.mean().item(),
        std_error=((found.sqrt() - var.sqrt()) ** 2).mean().item(),
    )


def summarize_moments(inputs: list[dict]) -> dict:
    """`moment_error` of many inputs: RMSE of mean and of std, ratio of variances."""
    mean = {key: float(np.mean([one[key] for one in inputs])) for key in inputs[0]}
    return dict(
        mean_rmse=math.sqrt(max(0.0, mean['mean_error'])),
        std_rmse=math.sqrt(mean['std_error']),
        var_ratio=_ratio(mean['sample_var'], mean['var']),
    )


def rank_flatness(shares) -> dict:
    r"""How far from flat a rank histogram is.

    Args:
        shares: share of each of the K + 1 ranks; it sums to 1.

    Returns:
        `unevenness`, :math:`\sum_i |f_i - 1/(K+1)|`: 0 flat, at most 2; and `outer`,
        the share of the two outer ranks over its due 2/(K+1): above 1 the target falls
        outside the samples too often (under-dispersed), below 1 too rarely.

    Reference:
        Delle Monache et al., JGR 2006 (reliability index).

    Example:
        >>> rank_flatness([0.5, 0, 0.5])
        {'unevenness': 0.6666666666666667, 'outer': 1.5}
    """
    shares = np.asarray(shares)
    due = 1 / len(shares)
    return dict(
        unevenness=float(np.abs(shares - due).sum()),
        outer=float((shares[0] + shares[-1]) / (2 * due)),
    )


def verdict(ratio: float, low: float, high: float, tolerance: float = 0.1) -> str:
    """The word for a spread-skill ratio and its interval.

    'ok' within the tolerance of 1 (1/(1+t) to 1+t); otherwise under- or over-dispersed
    where the interval excludes 1, and 'undecided' where it does not.

    Example:
        >>> verdict(0.5, 0.48, 0.52), verdict(1.05, 1.01, 1.1), verdict(1.3, 0.8, 1.9)
        ('under-dispersed', 'ok', 'undecided')
    """
    if math.isnan(ratio):
        return 'undecided'
    if 1 / (1 + tolerance) <= ratio <= 1 + tolerance:
        return 'ok'
    if high < 1:
        return 'under-dispersed'
    if low > 1:
        return 'over-dispersed'
    return 'undecided'


def spread_skill(var, error, num_samples: int) -> float:
    r"""Spread over skill: 1 where the target is like one more sample.

    .. math:: \sqrt{\tfrac{K+1}{K}} \sqrt{\bar v / \overline{(y - \mu)^2}}

    Args:
        var: unbiased variance of the K samples, averaged over inputs and cells.
        error: squared error of their mean, averaged likewise.

    Returns:
        The ratio; below 1 under-dispersed (or biased), above 1 over-dispersed; inf
        without any error, nan if there is no spread either.

    Reference:
        Fortin et al., Why should ensemble spread match the RMSE of the ensemble mean?,
        J. Hydrometeorology 2014.

    Example:
        >>> spread_skill(var=1., error=1.1, num_samples=10)
        1.0
    """
    return math.sqrt(_ratio((num_samples + 1) / num_samples * var, error))


def summarize(inputs: list[dict], seed: int = 0, tolerance: float = 0.1) -> dict:
    """`image_calibration` of many inputs, one cell size, into the numbers reported.

    Args:
        inputs: results of `image_calibration`, all of the same K.
        seed: of the bootstrap over inputs.
        tolerance: of the verdict.

    Returns:
        `crps`, `nll`, `bias`, `rmse` (of the mean of K), `spread`, `spread_skill` with
        `spread_skill_low` and `_high`, `gain` (squared error of one sample over that of
        the mean of K) and `gain_exact` = 2K/(K+1), what an exact sampler gains,
        `ranks`, `unevenness`, `outer` and `verdict`.

    Raises:
        UserError: no inputs, or inputs with different K.
    """
    if not inputs:
        raise UserError('no inputs to summarize')
    sizes = {len(one['ranks']) for one in inputs}
    if len(sizes) > 1:
        raise UserError(
            'inputs with different numbers of samples: '
            f'{sorted(size - 1 for size in sizes)}'
        )
    k = sizes.pop() - 1
    mean = {key: np.mean([one[key] for one in inputs], axis=0) for key in inputs[0]}
    ratio = spread_skill(mean['var'], mean['error'], k)

    def ratios(rows):
        var, error = rows.mean(1).T
        safe = np.where(error > 0, error, np.nan)
        return np.sqrt((k + 1) / k * var / safe)

    low, high = bootstrap_interval(
        [[one['var'], one['error']] for one in inputs], seed=seed, statistic=ratios
    )
    return dict(
        crps=float(mean['crps']),
        nll=float(mean['nll']),
        bias=float(mean['bias']),
        rmse=float(np.sqrt(mean['error'])),
        spread=float(np.sqrt(mean['var'])),
        spread_skill=ratio,
        spread_skill_low=low,
        spread_skill_high=high,
        gain=_ratio(mean['single_error'], mean['error']),
        gain_exact=2 * k / (k + 1),
        ranks=mean['ranks'].tolist(),
        **rank_flatness(mean['ranks']),
        verdict=verdict(ratio, low, high, tolerance),
    )


def _ratio(a, b):
    if b == 0:
        return math.nan if a == 0 else math.inf
    return float(a / b)


def _crps(samples, target):
    """Of K samples of any shape, each element of it on its own."""
    rows = samples.double().reshape(1, len(samples), 1, 1, -1)
    return crps(rows, target.double().reshape(1, 1, 1, -1))


def _check_k(samples):
    if len(samples) < 2:
        raise UserError(
            f'calibration needs 2 samples per input at least, got '
            f'{len(samples)}: add --cfg-options model.eval_num_samples=20'
        )
