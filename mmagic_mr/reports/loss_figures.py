"""What each loss prefers at a finite K, and what it sees of structure: two figures."""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from scipy import optimize
from torch import Tensor

from mmagic_mr import losses
from mmagic_mr.reports.plotting import pyplot, save_figure

COUNTS = (2, 3, 4, 6, 8, 12, 16, 24)
DRAWS = 100_000  # over all samples of a pixel
CORRELATION, WIDTH, INPUTS, FEW = 0.9, 16, 8_000, 4
SIDE = 64  # of the images that networks look at
VIEWS = ('pixel', 'pool2', 'pool4', 'pool8', 'pool16', 'diff_x', 'fft')

# Name -> variance that is preferred with K samples, for Gaussian data of variance 1.
# What has a closed form is drawn by it (the tests compare it with the loss itself).
Preferred = Callable[[int], float | None]


def preferred_variance(loss: losses.SampleLoss, num_samples: int) -> float:
    """Where the expected loss has no slope, for Gaussian samples and data.

    By the same draws at every scale, so that the slope has one root.

    Args:
        loss: Of samples and target.
        num_samples: K.
    """
    generator = torch.Generator().manual_seed(0)
    inputs = DRAWS // num_samples
    base = torch.randn((inputs, num_samples, 1, 1, 1), generator=generator)
    target = torch.randn((inputs, 1, 1, 1), generator=generator)

    def slope(scale: float) -> float:
        factor = torch.tensor(scale, requires_grad=True)
        value = loss(base * factor, target)
        return torch.autograd.grad(value, factor)[0].item()

    root: float = optimize.brentq(slope, 0.2, 3.0, xtol=1e-3)
    return root**2


def almost_fair(alpha: float) -> Preferred:
    """Of the CRPS."""

    def variance(num_samples: int) -> float:
        c = (num_samples - 1 + alpha) / num_samples
        return c**2 / (2 - c**2)

    return variance


def released_rcgan(num_samples: int) -> float:
    """With c the mean of the standard deviation of K standard normal numbers."""
    k = num_samples
    ratio = math.lgamma(k / 2) - math.lgamma((k - 1) / 2)
    c2 = 2 / (k - 1) * math.exp(2 * ratio)
    return c2 * k / (k + 1 - c2)


def plain_variogram(num_samples: int) -> float:
    """Of the power 1/2 of differences, with mean and variance of a normal one's."""
    mean, mean_of_square = (
        2 ** (p / 2) * math.gamma((p + 1) / 2) / math.sqrt(math.pi) for p in (0.5, 1)
    )
    variance = mean_of_square - mean**2
    return (mean**2 / (mean**2 + variance / num_samples)) ** 4


def best_of_pixels(num_samples: int) -> float:
    """Of images of a single pixel."""
    return preferred_variance(losses.BestOfKLoss(), num_samples)


PREFERRED: dict[str, Preferred] = {
    "all fair scores, rcGAN, MR2 and proxy MR2 'unbiased'": lambda k: 1.0,
    'MR2': lambda k: (k - 1) / (k - 3) if k > 3 else None,
    'proxy MR2': lambda k: (2 - 1 / k) / (2 + 4 / (k - 1)),
    'CRPS, alpha 0.95': almost_fair(0.95),
    'CRPS, alpha 0': almost_fair(0.0),
    'rcGAN as released': released_rcgan,
    'variogram score, plain': plain_variogram,
    'best of K, of one pixel': best_of_pixels,
}


def structure_scores() -> dict[str, tuple[float, float]]:
    """Scores of an exact and of an independent sampler, by view or loss.

    The data are autoregressive fields of 16 pixels with the correlation 0.9 from one
    to the next, constant along the columns of images of 16 x 16. K is 4. The norms of
    the energy scores are divided by the root of the number of their elements.
    """
    generator = torch.Generator().manual_seed(0)
    lag = (torch.arange(WIDTH) - torch.arange(WIDTH).unsqueeze(1)).abs()
    root = torch.linalg.cholesky(CORRELATION**lag)
    shape = 2 * FEW + 1, INPUTS, 1, 1, WIDTH
    z = torch.randn(shape, generator=generator)
    fields, independent = z[: FEW + 1] @ root.T, z[FEW + 1 :].movedim(0, 1)
    target, exact = fields[0], fields[1:].movedim(0, 1)

    def scores(loss: losses.SampleLoss, height: int, norm: float = 1.0) -> tuple:
        with torch.no_grad():
            return tuple(
                loss(
                    samples.expand(-1, -1, -1, height, -1),
                    target.expand(-1, -1, height, -1),
                ).item()
                / norm
                for samples in (exact, independent)
            )

    def height(view: str) -> int:
        return int(view.removeprefix('pool')) if view.startswith('pool') else 1

    found = {
        f'CRPS, {view}': scores(losses.CRPSLoss(views={view: 1.0}), height(view))
        for view in VIEWS
    }
    side = math.sqrt(WIDTH)
    found['energy, whole'] = scores(losses.EnergyScoreLoss(), 1, side)
    found['energy, patch 4'] = scores(losses.EnergyScoreLoss(patch=4), 4, 4)
    neighbors = losses.VariogramScoreLoss(p=1.0, offsets=((0, 1),))
    found['variogram, p 1'] = scores(neighbors, 1)
    found['rcGAN, pixel'] = scores(losses.RCGANLoss(), 1)
    return found


def correlated_images(inputs: int, num_samples: int) -> tuple[Tensor, Tensor]:
    """Images whose neighbors go together, and others of the same pixels alone.

    Gaussian of variance 1, with the correlation 0.9 from each pixel to the next.

    Shape:
        Both (inputs, 1 + num_samples, 1, 64, 64); the first of the former is data.
    """
    generator = torch.Generator().manual_seed(0)
    lag = (torch.arange(SIDE) - torch.arange(SIDE).unsqueeze(1)).abs()
    root = torch.linalg.cholesky(CORRELATION**lag)
    shape = 2, inputs, 1 + num_samples, 1, SIDE, SIDE
    z = torch.randn(shape, generator=generator)
    return root @ z[0] @ root.T, z[1]


def feature_scores(inputs: int = 200) -> tuple[float, float]:
    """CRPS of an exact and of an independent sampler in the features of LPIPS.

    The data are gray images of 64 x 64 whose pixels have the correlation 0.9 with each
    of their neighbors; the independent sampler has pixels of the same law. K is 4.

    Args:
        inputs: How many images.

    Raises:
        BackboneMissing: The trunk was never fetched; says how to.
    """
    loss = losses.CRPSLoss(views=dict(features=1.0))
    exact, independent = (drawn / 2 for drawn in correlated_images(inputs, FEW))
    target = exact[:, 0]  # most values lie in [-1, 1]
    with torch.no_grad():
        return tuple(
            loss(
                drawn[:, 1:].expand(-1, -1, 3, -1, -1), target.expand(-1, 3, -1, -1)
            ).item()
            for drawn in (exact, independent)
        )


def draw_preferred(file: Path) -> None:
    """Preferred variance against K."""
    plot = pyplot()
    figure, axes = plot.subplots(figsize=(8, 4.2))
    for name, variance in PREFERRED.items():
        points = [(k, v) for k in COUNTS if (v := variance(k)) is not None]
        axes.plot(*zip(*points, strict=True), marker='.', label=name)
    axes.set(xlabel='K', ylabel='preferred variance / true variance')
    axes.set(xscale='log', yscale='log', xticks=COUNTS, yticks=(0.2, 0.5, 1, 2, 3))
    axes.minorticks_off()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter('{x:g}')
    axes.grid(alpha=0.3)
    axes.legend(loc='center left', bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)
    save_figure(figure, file)


def draw_structure(file: Path, found: dict[str, tuple[float, float]]) -> None:
    """Scores of both samplers, side by side."""
    plot = pyplot()
    figure, axes = plot.subplots(figsize=(8, 4.2))
    places = range(len(found))
    for shift, name in ((-0.2, 'exact'), (0.2, 'independent')):
        values = [pair[shift > 0] for pair in found.values()]
        axes.barh([p + shift for p in places], values, height=0.4, label=name)
    axes.set_yticks(places, list(found))
    axes.invert_yaxis()
    axes.set_xlabel('score (less is better)')
    axes.grid(axis='x', alpha=0.3)
    axes.legend(frameon=False)
    save_figure(figure, file)


def structure_table(found: dict[str, tuple[float, float]]) -> str:
    """The same as Markdown."""
    lines = ['| score | exact | independent |', '| --- | --- | --- |']
    lines += [f'| {name} | {a:.3f} | {b:.3f} |' for name, (a, b) in found.items()]
    return '\n'.join(lines)
