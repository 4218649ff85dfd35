"""Eight modes on a circle, learned by a GAN with each term: the paper's figure 4."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from mmagic_mr import losses
from mmagic_mr.functional import Moments
from mmagic_mr.reports.method_figures import EachSampleL2, ring
from mmagic_mr.reports.plotting import pyplot, save_figure

SAMPLES = 10  # K
POINTS = 128  # of the data, in an update
STEPS = 1500
SEEDS = 0, 1, 2

# Without a condition a predictor that was trained by maximum likelihood says the same
# of every input: mean and variance of the data
PREDICTED = Moments(*(torch.full((POINTS, 2, 1, 1), m) for m in (0.0, 0.5025)))

WEIGHTS = 1.0, 100.0
# Name -> loss of a weight
TERMS: dict[str, Callable[[float], losses.SampleLoss]] = {
    'L2': lambda weight: EachSampleL2(weight),
    'MR1': lambda weight: losses.MRLoss(order=1, loss_weight=weight),
    'MR2': lambda weight: losses.MRLoss(loss_weight=weight),
    'proxy MR1': lambda weight: losses.ProxyMRLoss(order=1, loss_weight=weight),
    'proxy MR2': lambda weight: losses.ProxyMRLoss(loss_weight=weight),
    'CRPS': lambda weight: losses.CRPSLoss(loss_weight=weight),
}


def learned_with_gan(
    term: losses.SampleLoss | None, seed: int = 0, count: int = 1000
) -> Tensor:
    """Points of a small network that a GAN and a term taught the ring.

    Args:
        term: Of samples, and of the data or the predicted moments; None: the GAN alone.
        seed: Of networks, noise and data.
        count: How many points are drawn in the end.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network, judge = _three_layers(4, 2), _three_layers(2, 1)
    optimizers = [
        torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.5, 0.999))
        for net in (network, judge)
    ]
    for _ in range(STEPS):
        data = ring(POINTS, generator)
        points = network(torch.randn((POINTS, SAMPLES, 4), generator=generator))
        real, fake = judge(data), judge(points[:, 0].detach())
        loss = softplus(-real).mean() + softplus(fake).mean()
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()
        scores = judge(points)
        loss = binary_cross_entropy_with_logits(scores, torch.ones_like(scores))
        if term is not None:
            needed = PREDICTED if 'moments' in term.needs else data[..., None, None]
            loss = loss + term(points[..., None, None], needed)
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
    with torch.no_grad():
        return network(torch.randn((count, 4), generator=generator))


def modes_covered(points: Tensor) -> int:
    """Modes that one point in fifty, or more, lies within 0.2 of.

    Example:
        >>> modes_covered(torch.tensor([[1.0, 0.0], [0.0, 1.1], [0.5, 0.5]]))
        2
    """
    angles = torch.arange(8) * torch.pi / 4
    places = torch.stack([angles.cos(), angles.sin()], dim=1)
    near = (points[:, None] - places).norm(dim=2) < 0.2
    return int((near.float().mean(dim=0) >= 0.02).sum())


def draw_ring(file: Path) -> str:
    """The points of each term at both weights, and the modes of every seed.

    Returns:
        The modes as Markdown.
    """
    plot = pyplot()
    figure, axes = plot.subplots(
        len(WEIGHTS), 1 + len(TERMS), figsize=(13, 4.4), squeeze=False
    )
    alone, counts = _of_all_seeds(None)
    _panel(axes[0, 0], alone, f'GAN alone: {counts}')
    _panel(axes[1, 0], ring(1000, torch.Generator().manual_seed(100)), 'data')
    heads = ' | '.join(f'weight {weight:g}' for weight in WEIGHTS)
    lines = [f'| GAN and | {heads} |', '|---' * (1 + len(WEIGHTS)) + '|']
    lines.append(f'| nothing | {counts} |' + ' |' * (len(WEIGHTS) - 1))
    for column, (name, make) in enumerate(TERMS.items(), 1):
        cells = []
        for row, weight in enumerate(WEIGHTS):
            points, counts = _of_all_seeds(make(weight))
            _panel(axes[row, column], points, f'{weight:g} {name}: {counts}')
            cells.append(counts)
        lines.append(f'| {name} | {" | ".join(cells)} |')
    save_figure(figure, file)
    return '\n'.join(lines)


def _of_all_seeds(term: losses.SampleLoss | None) -> tuple[Tensor, str]:
    """The points of the first seed, and the modes of all."""
    found = [learned_with_gan(term, seed) for seed in SEEDS]
    return found[0], ', '.join(str(modes_covered(points)) for points in found)


def _panel(ax, points: Tensor, title: str) -> None:
    ax.scatter(*points.T, s=2, color='tab:blue')
    ax.set(xlim=(-1.8, 1.8), ylim=(-1.8, 1.8), xticks=(), yticks=(), aspect=1)
    ax.set_title(title, fontsize=8)


def _three_layers(inputs: int, outputs: int) -> nn.Module:
    layers = [nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, outputs))
