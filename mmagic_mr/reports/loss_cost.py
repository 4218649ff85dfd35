"""What each sample loss costs: time and memory of a forward and backward pass."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import truediv

import torch
from torch import Tensor

from mmagic_mr import losses
from mmagic_mr.functional import Moments

FOUR_VIEWS = dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0)
REFERENCE = 'MRLoss'


class PlainMR2(losses.SampleLoss):
    """MR2 as one writes it down: what the loss costs without this package."""

    min_samples = 2

    def loss_map(self, samples: Tensor, target: Tensor) -> Tensor:
        mean, variance = samples.mean(dim=1), samples.var(dim=1)
        return (target - mean).square() / (2 * variance) + variance.log() / 2


FAMILY: dict[str, Callable[[], losses.SampleLoss]] = {
    REFERENCE: losses.MRLoss,
    'MR2 in plain PyTorch': PlainMR2,
    "MRLoss(distribution='laplace')": lambda: losses.MRLoss('laplace'),
    'ProxyMRLoss': losses.ProxyMRLoss,
    "ProxyMRLoss(estimator='unbiased')": lambda: losses.ProxyMRLoss(
        estimator='unbiased'
    ),
    'CRPSLoss': losses.CRPSLoss,
    'CRPSLoss, four views': lambda: losses.CRPSLoss(views=FOUR_VIEWS),
    'EnergyScoreLoss': losses.EnergyScoreLoss,
    'EnergyScoreLoss(patch=4)': lambda: losses.EnergyScoreLoss(patch=4),
    'KernelScoreLoss': losses.KernelScoreLoss,
    'VariogramScoreLoss': losses.VariogramScoreLoss,
    'RCGANLoss': losses.RCGANLoss,
    'PCAGANLoss, its rare update': lambda: losses.PCAGANLoss(interval=1),
    'ModeSeekingLoss': losses.ModeSeekingLoss,
    'DSGANLoss': losses.DSGANLoss,
    'NDivLoss': losses.NDivLoss,
    'BestOfKLoss': losses.BestOfKLoss,
    'DiversitySensitiveLoss': losses.DiversitySensitiveLoss,
}


@dataclass(frozen=True)
class Cost:
    """Of one loss.

    Attributes:
        name: As in `FAMILY`.
        seconds: Median time of a forward and backward pass.
        ratio: Median, over the rounds, of the time over that of the reference.
        kept: Bytes that autograd keeps for the backward pass.
    """

    name: str
    seconds: float
    ratio: float
    kept: int


def loss_costs(
    shape: Sequence[int], rounds: int, device: str = 'cpu', names: Sequence[str] = ()
) -> list[Cost]:
    """The costs of the family, measured in turn.

    In each round every loss runs once, so that whatever else the machine does hits all
    of them. On a CPU the time is that of the process, which does not count when others
    have the core.

    Args:
        shape: (N, K, C, H, W) of the samples.
        rounds: How often each loss is timed, after one time that does not count.
        device: Where the samples are.
        names: Of `FAMILY`, beside the reference; none: all.
    """
    chosen = dict.fromkeys([REFERENCE, *(names or FAMILY)])
    family = {name: FAMILY[name]().to(device) for name in chosen}
    samples, given = _batch(shape, device)
    times: dict[str, list[float]] = {name: [] for name in family}
    for turn in range(rounds + 1):
        for name, loss in family.items():
            spent = _seconds(loss, samples, given)
            if turn:
                times[name].append(spent)
    return [
        Cost(
            name,
            statistics.median(times[name]),
            statistics.median(map(truediv, times[name], times[REFERENCE])),
            kept_bytes(lambda loss=loss: _value(loss, samples, given)),
        )
        for name, loss in family.items()
    ]


def kept_bytes(function: Callable[[], Tensor]) -> int:
    """Bytes that autograd keeps of a function's forward pass, a storage once."""
    storages: dict[int, int] = {}
    alive = []  # no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        function()
    return sum(storages.values())


def cost_table(costs: Sequence[Cost]) -> str:
    """A Markdown table."""
    kept_by_reference = next(c.kept for c in costs if c.name == REFERENCE)
    lines = [
        '| loss | seconds | over MR2 | kept [MiB] | over MR2 |',
        '| --- | --- | --- | --- | --- |',
    ]
    for cost in costs:
        share = cost.kept / kept_by_reference
        lines.append(
            f'| {cost.name} | {cost.seconds:.3f} | {cost.ratio:.1f} | '
            f'{cost.kept / 2**20:.0f} | {share:.2f} |'
        )
    return '\n'.join(lines)


def _batch(shape: Sequence[int], device: str) -> tuple[Tensor, dict[str, object]]:
    inputs, num_samples, *image = shape
    generator = torch.Generator(device).manual_seed(0)

    def draw(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, device=device)

    target = draw(inputs, *image)
    given = dict(
        target=target,
        moments=Moments(target, target.square() + 0.1),
        noise={'site': draw(inputs, num_samples, 32, 1, 1)},
    )
    return draw(*shape).requires_grad_(), given


def _value(loss: losses.SampleLoss, samples: Tensor, given: dict) -> Tensor:
    return loss(samples, *(given[name] for name in loss.needs))


def _seconds(loss: losses.SampleLoss, samples: Tensor, given: dict) -> float:
    on_cpu = samples.device.type == 'cpu'
    clock = time.process_time if on_cpu else time.perf_counter
    start = clock()
    torch.autograd.grad(_value(loss, samples, given), samples)
    if not on_cpu:
        torch.cuda.synchronize(samples.device)
    return clock() - start
