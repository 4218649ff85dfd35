"""The processes of a distributed run: what each of them draws, and all of it together.

By default each process has inputs of its own, and draws all K samples of them. With
``distribute='samples'`` all have the same inputs, and each draws some of the samples:
for K that does not fit into the memory of one device.
"""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import mmengine.dist as dist
import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmagic_mr.errors import UserError
from mmagic_mr.functional import over_all_processes, process_mean
from mmagic_mr.models.batch import Batch

Distribute: TypeAlias = Literal['inputs', 'samples']
CHECK_INTERVAL = 100  # iterations between two looks at the inputs of all processes


class SampleShare:
    """The samples of each input that this process draws: K / R of K, for R processes.

    Args:
        num_samples: K.

    Raises:
        UserError: K is no multiple of R.

    Example:
        >>> share = SampleShare(6)  # there is one process here
        >>> share.part, share.size
        (slice(0, 6, None), 6)
    """

    def __init__(self, num_samples: int):
        self.rank, self.processes = dist.get_dist_info()
        self.size, rest = divmod(num_samples, self.processes)
        if rest:
            near = max(1, self.size) * self.processes
            raise UserError(
                f"distribute='samples': num_samples={num_samples} (K) is no multiple "
                f'of the {self.processes} processes: take {near} or '
                f'{near + self.processes} samples, or another number of processes'
            )
        self.part = slice(self.rank * self.size, (self.rank + 1) * self.size)

    def gather(self, samples: Tensor) -> Tensor:
        """All samples, of this process's own.

        A loss of them is the same in each process, and so is its gradient in them. A
        process passes on the gradient in its own, R times: the mean of the weights'
        gradients over the processes is then that of one process.

        Shape:
            (N, K / R, ...) to (N, K, ...).
        """
        everyone: Tensor = _Gather.apply(samples, self)
        return everyone

    def mean_and_variance(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and unbiased variance of all samples, of this process's own.

        Without a gradient.

        Shape:
            (N, K / R, ...) to two (N, ...).
        """
        with torch.no_grad(), over_all_processes():
            center = process_mean(samples.mean(1))
            squares = process_mean((samples - center.unsqueeze(1)).square().mean(1))
        count = self.size * self.processes
        return center, squares * count / (count - 1)

    def rows(self, n: int) -> slice:
        """The inputs that this process takes where each of them has one sample.

        All of them, where R does not divide n: each process then does the same.

        Example:
            >>> SampleShare(6).rows(4)
            slice(0, 4, None)
        """
        each, rest = divmod(n, self.processes)
        return slice(n) if rest else slice(self.rank * each, (self.rank + 1) * each)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, samples: Tensor, share: SampleShare) -> Tensor:
        ctx.share = share
        return torch.cat(dist.all_gather(samples.detach().contiguous()), 1)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        return ctx.share.processes * gradient[:, ctx.share.part], None


def noise_seeds(n: int, iteration: int, purpose: int, same: bool) -> list[int]:
    """A seed for the noise of each of n inputs.

    It is a function of the run's seed, the iteration and the place in the global batch:
    a resumed run draws what an uninterrupted one would have.

    Args:
        n: Inputs of this process.
        iteration: Of the run.
        purpose: What the noise is for; another one, other noise.
        same: All processes have the same inputs; otherwise each has n others.

    Example:
        >>> noise_seeds(2, 0, 1, same=True) == noise_seeds(2, 0, 1, same=False)
        True
    """
    rank, processes = (0, 1) if same else dist.get_dist_info()
    entropy = np.random.SeedSequence((torch.initial_seed(), iteration, purpose))
    words = entropy.generate_state(n * processes, np.uint64)
    return words[n * rank : n * (rank + 1)].tolist()


def check_same_inputs(batch: Batch) -> None:
    """Refuse a batch that is not the same in all processes, and seeds that are not.

    Raises:
        UserError: In all processes.
    """
    found = dist.all_gather_object((torch.initial_seed(), _fingerprint(batch)))
    seeds, prints = zip(*found, strict=True)
    if len(set(seeds)) > 1:
        raise UserError(
            f"distribute='samples': the processes have different seeds, {list(seeds)}: "
            f'set randomness=dict(diff_rank_seed=False), or {_SWITCH}'
        )
    if any(not _close(prints[0], other) for other in prints[1:]):
        means = [round(one[0], 6) for one in prints]
        raise UserError(
            "distribute='samples': all processes must have the same inputs, and they "
            f'have different ones (means {means}): set train_dataloader='
            "dict(sampler=dict(type='SameInputsSampler'), worker_init_fn=dict(type="
            "'same_worker_seeds', seed=0)), which keeps random crops and flips the "
            f'same as well, or {_SWITCH}'
        )


_SWITCH = 'start tools/train.py with --distribute samples, which sets all of it'


def _fingerprint(batch: Batch) -> list[float]:
    """Numbers that differ where an element, its place or a shape does."""
    numbers = []
    for tensor in vars(batch).values():
        if tensor is not None:
            flat = tensor.detach().reshape(-1).double()
            places = torch.linspace(0, 1, len(flat), dtype=flat.dtype).to(flat)
            numbers += [flat.mean(), (flat * places).mean(), *tensor.shape]
    return [float(number) for number in numbers]


def _close(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(
        math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
        for a, b in zip(one, other, strict=True)
    )
