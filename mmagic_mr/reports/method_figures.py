"""The method in pictures: three figures of docs/method.md, a minute on a CPU."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from mmagic_mr import losses
from mmagic_mr.functional import views_of
from mmagic_mr.reports.loss_figures import correlated_images
from mmagic_mr.reports.plotting import pyplot, save_figure

FEW = 6  # K
INPUTS = 10_000  # of the spread's figure
STEPS = 1500  # of a training


class EachSampleL1(losses.SampleLoss):
    """The reconstruction loss: L1 of every sample on its own."""

    def loss_map(self, samples: Tensor, target: Tensor) -> Tensor:
        return (samples - target.unsqueeze(1)).abs().mean(dim=1)


class EachSampleL2(losses.SampleLoss):
    """The same with squares."""

    def loss_map(self, samples: Tensor, target: Tensor) -> Tensor:
        return (samples - target.unsqueeze(1)).square().mean(dim=1)


# Name -> loss. What has `noise` among its needs gets the z that the samples came from.
JUDGES: dict[str, Callable[[], losses.SampleLoss]] = {
    'L1 of each sample': EachSampleL1,
    'MR2, unbiased': lambda: losses.MRLoss(estimator='unbiased'),
    'CRPS': losses.CRPSLoss,
    'mode seeking': losses.ModeSeekingLoss,
}
LEARNERS: dict[str, Callable[[], losses.SampleLoss]] = {
    'L2 of each sample': EachSampleL2,
    'MR2: mean and variance': lambda: losses.MRLoss(estimator='unbiased'),
    'CRPS, each coordinate': losses.CRPSLoss,
    'energy score, both': losses.EnergyScoreLoss,
}


def values_of_spread(loss: losses.SampleLoss, spreads: list[float]) -> list[float]:
    """A loss against the spread of the samples, for data of spread 1.

    Samples and data are Gaussian with the same mean; the draws are the same for every
    spread. The least value is 0, and the greatest from half the right spread on is 1.

    Args:
        loss: Of samples and target, or of samples and noise.
        spreads: Standard deviations of the samples.
    """
    generator = torch.Generator().manual_seed(0)
    z = torch.randn((INPUTS, FEW, 1, 1, 1), generator=generator)
    target = torch.randn((INPUTS, 1, 1, 1), generator=generator)
    needed = {'noise': {'site': z}}.get(loss.needs[0], target)
    with torch.no_grad():
        values = [loss(z * spread, needed).item() for spread in spreads]
    low = min(values)
    high = max(v for v, s in zip(values, spreads, strict=True) if s >= 0.5)
    return [(value - low) / (high - low) for value in values]


def ring(count: int, generator: torch.Generator) -> Tensor:
    """Points around eight places on a circle, (count, 2)."""
    angles = torch.randint(8, (count,), generator=generator) * torch.pi / 4
    places = torch.stack([angles.cos(), angles.sin()], dim=1)
    return places + 0.05 * torch.randn((count, 2), generator=generator)


def learned(loss: losses.SampleLoss, count: int = 1000) -> Tensor:
    """Points of a small network that a loss alone taught the ring: no GAN.

    Args:
        loss: Of samples and target.
        count: How many points are drawn in the end.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Linear(4, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()]
        network = nn.Sequential(*layers, nn.Linear(128, 2))
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        z = torch.randn((128, FEW, 4), generator=generator)
        target = ring(128, generator)
        value = loss(network(z)[..., None, None], target[..., None, None])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return network(torch.randn((count, 4), generator=generator))


def draw_spread(file: Path) -> None:
    """What each loss says of samples that are too near, right, too far."""
    plot = pyplot()
    figure, axes = plot.subplots(figsize=(7, 3.6))
    spreads = [0.05 * step for step in range(2, 41)]
    for name, make in JUDGES.items():
        values = values_of_spread(make(), spreads)
        (line,) = axes.plot(spreads, values, label=name)
        least = values.index(min(values))
        axes.plot(spreads[least], 0, 'o', color=line.get_color(), clip_on=False)
    axes.axvline(1, color='gray', linewidth=0.8, linestyle=':')
    axes.set(xlabel='spread of the samples / spread of the data', ylim=(0, 1.05))
    axes.set(ylabel='loss above its least', xlim=(0, 2), yticks=())
    axes.legend(loc='center left', bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)
    save_figure(figure, file)


def draw_learned(file: Path) -> None:
    """What a network learns of a ring of eight modes."""
    plot = pyplot()
    figure, axes = plot.subplots(1, 1 + len(LEARNERS), figsize=(12, 2.8))
    data = ring(1000, torch.Generator().manual_seed(1))
    panels = {'data': data}
    panels |= {name: learned(make()) for name, make in LEARNERS.items()}
    for ax, (name, points) in zip(axes, panels.items(), strict=True):
        ax.scatter(*data.T, s=2, color='lightgray')
        if name != 'data':
            ax.scatter(*points.T, s=2, color='tab:blue')
        ax.set(xlim=(-1.8, 1.8), ylim=(-1.8, 1.8), xticks=(), yticks=(), aspect=1)
        ax.set_title(name, fontsize=9)
    save_figure(figure, file)


def draw_views(file: Path, inputs: int = 100) -> None:
    """One sample of each kind in three views, with the CRPS of the kind below it."""
    plot = pyplot()
    views = views_of(dict(pixel=1.0, pool4=1.0, diff_x=1.0))
    figure, axes = plot.subplots(2, len(views), figsize=(6.6, 4.8))
    exact, independent = correlated_images(inputs, FEW)
    target = exact[:, 0]
    for row, (kind, drawn) in enumerate(
        {'exact': exact, 'each pixel alone': independent}.items()
    ):
        for ax, (view, _) in zip(axes[row], views, strict=True):
            score = losses.CRPSLoss(views={view.name: 1.0})(drawn[:, 1:], target)
            ax.imshow(view(drawn[0, 1:2])[0, 0], cmap='gray', vmin=-2.5, vmax=2.5)
            ax.set(xticks=(), yticks=(), xlabel=f'CRPS {score.item():.3f}')
            if not row:
                ax.set_title(view.name, fontsize=10)
        axes[row, 0].set_ylabel(kind)
    save_figure(figure, file)


DRAW = {'spread': draw_spread, 'learned': draw_learned, 'views': draw_views}
