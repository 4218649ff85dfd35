"""The GAN against the losses on the samples: their gradients, where they meet.

Both reach the generator through its samples. The norms of their gradients there say
which of the two decides what the samples become, whatever the units of the losses; the
value of a loss says nothing of it.

Reference:
    Esser, Rombach and Ommer, "Taming Transformers for High-Resolution Image Synthesis",
    CVPR 2021, balance a GAN and a reconstruction in this spirit, at the last layer.
"""

import logging
import math
from collections.abc import Mapping
from typing import Annotated

import mmengine.dist as dist
import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmagic_mr.checks import Count, Positive, Range, checked
from mmagic_mr.log_values import fetched

GAN = 'loss_gan_g'
# The discriminator's gradients of a mean over many pixels are lost in float16 without a
# factor. A power of two: nothing else is rounded.
SCALE = 2.0**16
TINY = 1e-30
JUDGED = 50  # updates between two looks at the ratios


class Balance:
    """Measures the norms of the gradients, and sets the weights that are 'auto'.

    Every ``interval`` updates of the generator the gradients in the samples of the
    GAN's term and of each sample loss, weight included, are compared. The log shows
    their norms, ``grad_gan`` and ``grad_<name>``, and ``balance_<name>``, the one over
    the other. A line says when a loss comes to outweigh the GAN, or the GAN it.

    The weight of a loss with ``loss_weight='auto'`` moves to the one that would make
    ``balance_<name>`` equal to ``ratio``. It is kept in the checkpoint.

    Args:
        ratio: Norm of the gradient of a loss over that of the GAN, for 'auto'.
        momentum: Of the moving average of the weight's logarithm, from one measurement
            to the next.
        interval: Updates of the generator from one measurement to the next; None: 10
            where a weight is 'auto', 50 elsewhere. A measurement costs one more
            backward pass through the discriminator, and none through the generator.
        start: Weight of 'auto' losses before the first measurement, which then moves it
            slowly; None: the first measurement sets it.

    Raises:
        UserError: On a number out of range.

    Example:
        >>> Balance(ratio=0.3, interval=20).interval
        20
    """

    @checked
    def __init__(
        self,
        ratio: Positive = 1.0,
        momentum: Annotated[float, Range(0, 1)] = 0.9,
        interval: Count | None = None,
        start: Positive | None = None,
    ) -> None:
        self.ratio, self.momentum = ratio, momentum
        self.interval, self.start = interval, start
        self._means: dict[str, Tensor] = {}  # of the logarithm of each ratio
        self._said: dict[str, str] = {}

    def prepare(self, losses: Mapping[str, nn.Module]) -> None:
        """Set the start of the weights, before a checkpoint is loaded."""
        automatic = [loss for loss in losses.values() if is_automatic(loss)]
        if self.interval is None:
            self.interval = 10 if automatic else 50
        if self.start is not None:
            for loss in automatic:
                loss.auto_weight.fill_(self.start)

    def weigh(
        self,
        terms: dict[str, Tensor],
        samples: Tensor,
        losses: Mapping[str, nn.Module],
        update: int,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Measure, if it is time to, and correct the terms that are 'auto'.

        Args:
            terms: Of the generator's loss, by their names in the log.
            samples: That all of them are computed from, with a graph.
            losses: The sample losses, by name.
            update: Number of this update of the generator.

        Returns:
            The terms, with the new weights, and what the log shows.

        Shape:
            samples (N, K, C, H, W).
        """
        names = [name for name in losses if f'loss_{name}' in terms]
        if update % self.interval or GAN not in terms or not names:
            return terms, {}
        measured = [terms[GAN], *(terms[f'loss_{name}'] for name in names)]
        gan, *norms = _norms(measured, samples)
        terms, logs = dict(terms), {'grad_gan': gan}
        for name, norm in zip(names, norms, strict=True):
            loss, term = losses[name], f'loss_{name}'
            if is_automatic(loss):
                before = loss.weight
                self._move(loss, gan, norm)
                factor = loss.weight / before
                terms[term] = factor.to(terms[term].dtype) * terms[term]
                norm = factor * norm
                logs[f'weight_{name}'] = loss.auto_weight.clone()
            logs[f'grad_{name}'] = norm
            logs[f'balance_{name}'] = norm / gan.clamp(min=TINY)
            self._mean(name, gan, norm)
        if update % JUDGED == 0:
            self._judge()
        return terms, logs

    def _move(self, loss: nn.Module, gan: Tensor, norm: Tensor) -> None:
        """Without a look at the values, which a GPU would have to be waited for."""
        now = loss.weight.log()
        wanted = now + (self.ratio * gan / norm).log()
        moved = self.momentum * now + (1 - self.momentum) * wanted
        moved = torch.where(loss.auto_weight > 0, moved, wanted).exp()
        # No hole in the batch, say: there is nothing to compare
        loss.auto_weight.copy_(
            torch.where(comparable(gan, norm), moved, loss.auto_weight)
        )

    def _mean(self, name: str, gan: Tensor, norm: Tensor) -> None:
        ratio = (norm / gan).log()
        before = self._means.get(name, torch.full_like(ratio, math.nan))
        mean = torch.where(before.isnan(), ratio, 0.9 * before + 0.1 * ratio)
        self._means[name] = torch.where(comparable(gan, norm), mean, before)

    def _judge(self) -> None:
        means = fetched([logarithm.exp() for logarithm in self._means.values()])
        for name, mean in zip(self._means, means, strict=True):
            if not math.isfinite(mean):
                continue
            verdict = next(v for v, (a, b, _) in WORDS.items() if a <= mean < b)
            if verdict == self._said.get(name, 'even'):
                continue
            self._said[name] = verdict
            numbers = f'{mean:.2g} : 1' if mean >= 1 else f'1 : {1 / mean:.2g}'
            print_log(
                f'Gradients at the samples, {name} : GAN = {numbers}. '
                f'{WORDS[verdict][2]}',
                'current',
                logging.INFO if verdict == 'even' else logging.WARNING,
            )


# Ranges of the ratio, and what is seen in samples of models trained there: at 1 the
# demos are best, at 3 their samples begin to blend, at 0.2 one of them collapses.
WORDS = {
    'gan': (
        0.0,
        0.1,
        'The GAN outweighs the loss: the samples are of its choice, and tend to '
        'collapse to few. Raise the loss_weight, or set it to "auto".',
    ),
    'even': (0.1, 3.0, 'Neither outweighs the other.'),
    'loss': (
        3.0,
        math.inf,
        'The loss outweighs the GAN: the samples tend to patchwork, blends or '
        'confetti, however right their spread. Lower the loss_weight, or set it to '
        '"auto".',
    ),
}


def comparable(gan: Tensor, norm: Tensor) -> Tensor:
    """Whether both gradients are there."""
    both = torch.stack([gan, norm])
    return ((both > 0) & both.isfinite()).all()


def is_automatic(loss: nn.Module) -> bool:
    """Whether the model sets the weight of this loss."""
    return getattr(loss, 'loss_weight', None) == 'auto'


def _norms(terms: list[Tensor], samples: Tensor) -> Tensor:
    """Norm of the gradient of each term in the samples, over all processes."""
    squares = []
    for term in terms:
        (gradient,) = torch.autograd.grad(
            SCALE * term, samples, retain_graph=True, allow_unused=True
        )
        found = samples.new_zeros(()) if gradient is None else gradient
        squares.append(found.float().square().sum(dtype=torch.float64))
    total = torch.stack(squares)
    dist.all_reduce(total)
    # A mean over the inputs of R processes has 1/R of the gradient of each one's own
    return total.sqrt() / (SCALE * dist.get_world_size())
