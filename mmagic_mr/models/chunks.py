"""K samples at the memory of few: in chunks, each of them computed twice.

The losses look at all K samples at once, and need their values alone. So a first pass
makes the values, chunk by chunk and without a graph. The backward pass comes back with
the gradient at the samples: there each chunk is computed again, with a graph, and its
part of the gradient goes on to the weights. What is kept of a network for the backward
pass is that of one chunk, whatever K is.

To autograd all this is one function of the weights, which has one gradient for each of
them: losses, their balance, loss scaling, accumulation and the one reduction of a
distributed run are as without chunks.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from mmagic_mr.sampling.autocast import autocast_now

# A part of the samples, and its images if there are any, to (N, samples, ...)
Run = Callable[[slice, Tensor | None], Tensor]


def slices(total: int, size: int) -> list[slice]:
    """Chunks of ``size``; the last one takes the rest.

    Example:
        >>> slices(5, 2)
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(a, min(a + size, total)) for a in range(0, total, size)]


def in_chunks(
    run: Run, network: nn.Module, parts: Sequence[slice], images: Tensor | None = None
) -> Tensor:
    """``run`` of each part of the samples, joined; gradients are those of the whole.

    Each chunk finds the network's buffers as they are now. What changes them changes
    them once: by the mean over the samples of what the chunks would. Random numbers
    (dropout) and autocast are the same in both passes.

    Args:
        run: Called with each part in the forward pass, and again in the backward pass.
        network: Its weights get gradients.
        parts: Slices of the samples, in order.
        images: Of which ``run`` gets its part; they get gradients as well.

    Shape:
        images (N, K, ...) to (N, K, ...).

    Example:
        >>> net, z = nn.Linear(3, 2), torch.rand(4, 5, 3)
        >>> chunked = in_chunks(lambda part, _: net(z[:, part]), net, slices(5, 2))
        >>> torch.allclose(chunked, net(z))
        True
        >>> chunked.square().sum().backward()
    """
    weights = [p for p in network.parameters() if p.requires_grad]
    passes = _Passes(run, network, parts, weights)
    result: Tensor = _InChunks.apply(passes, images, *weights)
    return result


def batch_norms(network: nn.Module) -> list[str]:
    """Names of the layers whose output for one image depends on the others.

    Example:
        >>> batch_norms(nn.Sequential(nn.BatchNorm2d(3), nn.InstanceNorm2d(3)))
        ['0']
    """
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, _BatchNorm)
        and (module.training or not module.track_running_stats)
    ]


@contextmanager
def forward_replaced(network: nn.Module, function: Callable) -> Iterator[None]:
    """For its next call, ``function`` in place of a network's ``forward``."""
    own = network.__dict__.get('forward')

    def restore() -> None:
        network.__dict__.pop('forward', None)
        if own is not None:
            network.forward = own

    def once(*args, **kwargs):
        restore()
        return function(*args, **kwargs)

    network.forward = once
    try:
        yield
    finally:
        restore()


class _InChunks(torch.autograd.Function):
    @staticmethod
    def forward(ctx, passes, images, *weights):
        ctx.passes = passes
        ctx.save_for_backward(images)
        return passes.values(images)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        (images,) = ctx.saved_tensors
        wanted = images if ctx.needs_input_grad[1] else None
        return None, *ctx.passes.gradients(images, gradient, wanted is not None)


class _Passes:
    """Both passes over the chunks."""

    def __init__(self, run: Run, network: nn.Module, parts, weights):
        self._run, self._parts, self._weights = run, parts, weights
        self._buffers = list(network.buffers())
        self._before = [b.detach().clone() for b in self._buffers]
        self._device = next(network.parameters()).device
        self._autocast = autocast_now(self._device)
        self._random: list[list[Tensor]] = []

    def values(self, images: Tensor | None) -> Tensor:
        results, changes = [], [torch.zeros_like(b) for b in self._before]
        total = self._parts[-1].stop
        for part in self._parts:
            self._set_buffers(self._before)
            self._random.append(self._random_state())
            with self._autocast():
                results.append(self._run(part, _part_of(images, part)))
            share = (part.stop - part.start) / total
            for change, before, now in zip(
                changes, self._before, self._buffers, strict=True
            ):
                if now.is_floating_point():
                    change += share * (now - before)
                else:
                    change.copy_(now)
        after = [
            before + change if before.is_floating_point() else change
            for before, change in zip(self._before, changes, strict=True)
        ]
        self._set_buffers(after)
        return torch.cat(results, 1)

    def gradients(
        self, images: Tensor | None, gradient: Tensor, to_images: bool
    ) -> list[Tensor | None]:
        after = [b.detach().clone() for b in self._buffers]
        sums: list[Tensor | None] = [None] * len(self._weights)
        of_images = []
        try:
            for part, random in zip(self._parts, self._random, strict=True):
                self._set_buffers(self._before)
                seen = _part_of(images, part)
                if to_images:
                    seen = seen.detach().requires_grad_()
                with self._same_random(random), torch.enable_grad(), self._autocast():
                    result = self._run(part, seen)
                leaves = [seen, *self._weights] if to_images else self._weights
                found = list(
                    torch.autograd.grad(
                        result, leaves, gradient[:, part], allow_unused=True
                    )
                )
                del result
                if to_images:
                    of_images.append(found.pop(0))
                sums = [_sum(a, b) for a, b in zip(sums, found, strict=True)]
        finally:
            self._set_buffers(after)
        return [torch.cat(of_images, 1) if to_images else None, *sums]

    def _set_buffers(self, values: list[Tensor]) -> None:
        # `data`: a node of the graph that keeps a running statistic reads none of it
        # in training, and would be refused its backward pass.
        for buffer, value in zip(self._buffers, values, strict=True):
            buffer.data.copy_(value)

    def _random_state(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        if self._device.type == 'cuda':
            states.append(torch.cuda.get_rng_state(self._device))
        return states

    @contextmanager
    def _same_random(self, states: list[Tensor]) -> Iterator[None]:
        with torch.random.fork_rng([self._device] if len(states) > 1 else []):
            torch.set_rng_state(states[0])
            if len(states) > 1:
                torch.cuda.set_rng_state(states[1], self._device)
            yield


def _part_of(images: Tensor | None, part: slice) -> Tensor | None:
    return None if images is None else images[:, part]


def _sum(total: Tensor | None, more: Tensor | None) -> Tensor | None:
    if total is None or more is None:
        return more if total is None else total
    return total.add_(more)
