"""An averaged copy of the generator, from which validation, test and tools sample."""

import functools
import weakref
from collections.abc import Collection
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import ExponentialMovingAverage
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from mmagic_mr.checks import Ratio, checked

_STATISTICS = ('running_mean', 'running_var')
_WARM_UP = 9
_averages: weakref.WeakSet['AveragedGenerator'] = weakref.WeakSet()


class AveragedGenerator(ExponentialMovingAverage):
    """mmengine's moving average, of a generator, after each of its updates.

    After update t, counted from 0, a weight is d a + (1 - d) w with
    d = min(decay, t / (t + 9)): at the start the average forgets faster, or it would
    be of the initial weights for the first 1 / (1 - decay) updates. Running
    statistics of normalization are averaged likewise: to first order they are those of
    the averaged weights. Other buffers are copied.

    An update is a step of an optimizer that holds all of the generator's parameters:
    an accumulated gradient counts once, and a step that a gradient scaler leaves out
    does not count. It is always in evaluation mode.

    Args:
        generator: To be followed; noise sites included.
        decay: Between 0 and 1.

    Reference:
        Karras et al., "Progressive Growing of GANs for Improved Quality, Stability,
        and Variation", ICLR 2018; Izmailov et al., "Averaging Weights Leads to Wider
        Optima and Better Generalization", UAI 2018.

    Example:
        >>> generator = nn.Linear(1, 1)
        >>> average = AveragedGenerator(generator, decay=0.999)
        >>> optimizer = torch.optim.SGD(generator.parameters(), lr=0.1)
        >>> generator(torch.ones(1, 1)).sum().backward()
        >>> optimizer.step()
        >>> torch.equal(average.module.weight, generator.weight), int(average.steps)
        (True, 1)
    """

    @checked
    def __init__(self, generator: nn.Module, decay: Ratio):
        super().__init__(generator, momentum=1 - decay)
        self._known_steps: int | None = None  # `steps`, as a number of Python
        self._followed = (generator,)  # in a tuple: no module of this one
        self._watch()
        self.eval()

    def _watch(self) -> None:
        _averages.add(self)
        _watch_optimizers()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._watch()  # a copy follows the copy of its generator

    def after_step(self, stepped: Collection[int]) -> None:
        """An optimizer has moved parameters of these ids."""
        (generator,) = self._followed
        trained = [id(p) for p in generator.parameters() if p.requires_grad]
        if trained and all(number in stepped for number in trained):
            self.update_parameters(generator)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        # mmengine's looks at `steps` on the device, which then has to be waited for
        if self._known_steps is None:
            self._known_steps = int(self.steps)
        share = max(self.momentum, _WARM_UP / (_WARM_UP + self._known_steps))
        parameters = dict(model.named_parameters())
        for name, average in self.module.named_parameters():
            _move(average, parameters[name], share)
        buffers = dict(model.named_buffers())
        for name, own in self.module.named_buffers():
            _move(own, buffers[name], share if name.endswith(_STATISTICS) else 1)
        self.steps += 1
        self._known_steps += 1

    def train(self, mode: bool = True):
        return super().train(False)

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        if not any(name.startswith(prefix) for name in state_dict):
            print_log(
                f'{prefix[:-1]}: there is none in what was loaded; it starts as a copy '
                'of the generator after its next update',
                'current',
            )
            self.steps.zero_()
            state_dict.update(self.state_dict(prefix=prefix))
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._known_steps = None


def _move(average: Tensor, value: Tensor, share: float) -> None:
    value = value.to(average.device)
    if share == 1 or not average.is_floating_point():
        average.copy_(value)
    else:
        average.lerp_(value, share)


@functools.cache  # once in a process
def _watch_optimizers() -> None:
    # Not in `train_step`: mmengine's wrapper for distributed runs has its own, and
    # whether an accumulated gradient was applied is known to the optimizer alone.
    register_optimizer_step_post_hook(_after_step)


def _after_step(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    stepped = {id(p) for group in optimizer.param_groups for p in group['params']}
    for average in list(_averages):
        average.after_step(stepped)
