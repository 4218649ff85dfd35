"""Do the samples go with their input, as the real images do?

Distance between two joint laws, of the input with its target and of the input with a
sample, by their Gaussian fits, on features.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmagic_mr.errors import UserError


class Floor(NamedTuple):
    """What an exact sampler would score, over simulated test sets: mean and 97.5%."""

    mean: float
    high: float


def conditional_frechet_distance(x: Tensor, real: Tensor, fake: Tensor) -> float:
    r"""CFID's formula on features.

    .. math:: |\mu_y - \mu_s|^2
        + \operatorname{tr}((B_y - B_s) \Sigma_{xx} (B_y - B_s)^T)
        + \operatorname{tr}(\Sigma_{y|x} + \Sigma_{s|x}
          - 2 (\Sigma_{y|x} \Sigma_{s|x})^{1/2})

    with the linear regressions B of target and sample on the input, and the covariances
    of what these leave. It is FID's distance between the conditional laws of the
    Gaussian fits, averaged over the input: 0 only where sample and input belong
    together as target and input do.

    In one dimension, unit variances and correlation rho: a sampler that ignores its
    input scores 2 - 2 sqrt(1 - rho^2), where FID is 0; the conditional mean as the
    answer scores 1 - rho^2.

    Strongly biased up for few inputs: see `conditional_floor`.

    Args:
        x: features of the inputs.
        real: of their targets.
        fake: of m samples of each input.

    Shape:
        x (N, P), real (N, D), fake (N, m, D).

    Raises:
        UserError: N <= P + 1: the regression fits everything.

    Reference:
        Soloveitchik et al., Conditional Frechet Inception Distance, 2021, equation 8.

    Example:
        >>> x = torch.tensor([[-1.], [1.], [-1.], [1.]])
        >>> y = torch.tensor([[-2.], [0.], [0.], [2.]])
        >>> conditional_frechet_distance(x, y, y[:, None] + 3)
        9.0
    """
    x, real, fake = _checked(x, real, fake)
    samples = fake.shape[1]
    target = _Regression(x, real)
    sampled = _Regression(x.repeat_interleave(samples, 0), fake.flatten(0, 1))
    mean = (target.mean - sampled.mean).square().sum()
    slope = (target.centered @ (target.slope - sampled.slope)).square().sum() / len(x)
    rest = _covariance_distance(target.rest, sampled.rest)
    return float(mean + slope + rest)


def conditional_floor(
    x: Tensor, real: Tensor, samples: int = 1, seed: int = 0, rounds: int = 20
) -> Floor:
    """What an exact sampler scores at this N and dimension, where 0 is out of reach.

    From the Gaussian fit of input and target: at the same inputs a target and m samples
    are drawn from the fitted conditional law, and scored, again and again. The
    covariance drawn from is the unbiased one, sum of squares over N - P - 1.

    Args:
        x, real: features, as for `conditional_frechet_distance`.
        samples: m of each input.
        seed: of the simulation.
        rounds: simulated test sets.

    Example:
        >>> x = torch.linspace(-1, 1, 100)[:, None]
        >>> conditional_floor(x, x.square()).mean < 0.1
        True
    """
    x, real, _ = _checked(x, real, real[:, None])
    fit = _Regression(x, real)
    spread = _root(fit.rest * (len(x) / (len(x) - x.shape[1] - 1)))
    center = fit.mean + fit.centered @ fit.slope
    rng = torch.Generator().manual_seed(seed)
    scores = []
    for _ in range(rounds):
        noise = torch.randn(
            len(x), samples + 1, len(spread), generator=rng, dtype=torch.double
        )
        drawn = center[:, None] + noise @ spread
        scores.append(conditional_frechet_distance(x, drawn[:, 0], drawn[:, 1:]))
    return Floor(float(np.mean(scores)), float(np.quantile(scores, 0.975)))


def principal_components(
    features: Tensor, count: int, *others: Tensor
) -> tuple[Tensor, ...]:
    """Features, and others by the same map, in the leading components of the first.

    Args:
        features: decide which components lead.
        count: of the components; no more than there are features are kept.
        others: of the same features.

    Shape:
        features (N, D), others (..., D); results (N, count), (..., count).

    Example:
        >>> line = torch.arange(4.)[:, None] * torch.tensor([[3., 4.]])
        >>> principal_components(line, 1)[0].abs().flatten().tolist()
        [7.5, 2.5, 2.5, 7.5]
    """
    features = features.double()
    mean = features.mean(0)
    _, _, axes = torch.linalg.svd(features - mean, full_matrices=False)
    return tuple(
        (some.double() - mean) @ axes[:count].T for some in (features, *others)
    )


class _Regression:
    """Least squares of y on x: means, slope, and the covariance of what it leaves."""

    def __init__(self, x, y):
        self.mean = y.mean(0)
        self.centered = x - x.mean(0)
        y = y - self.mean
        # By the pseudo-inverse: features of the input may be constant
        self.slope = torch.linalg.pinv(self.centered) @ y
        rest = y - self.centered @ self.slope
        self.rest = rest.T @ rest / len(y)


def _covariance_distance(a, b):
    """tr(a + b - 2 (a b)^(1/2)), also of singular ones."""
    root = _root(a)
    mixed = torch.linalg.eigvalsh(root @ b @ root).clamp(min=0).sqrt().sum()
    return a.trace() + b.trace() - 2 * mixed


def _root(covariance):
    """Symmetric square root."""
    values, axes = torch.linalg.eigh(covariance)
    return axes * values.clamp(min=0).sqrt() @ axes.T


def _checked(x, real, fake):
    if fake.ndim != 3 or len({len(x), len(real), len(fake)}) > 1:
        raise ValueError(
            'features of shape (N, P), (N, D) and (N, m, D) are needed, not '
            f'{tuple(x.shape)}, {tuple(real.shape)} and {tuple(fake.shape)}'
        )
    if len(x) <= x.shape[1] + 1:
        raise UserError(
            f'{len(x)} inputs and {x.shape[1]} features of each: CFID needs more '
            f'than {x.shape[1] + 1} inputs; take fewer components, or more inputs'
        )
    features = [part.double().cpu() for part in (x, real, fake)]
    if not all(part.isfinite().all() for part in features):
        raise UserError(
            'features are not finite: is the input range of the extractor right?'
        )
    return features
