"""Values for the log wait on their device until somebody reads them.

mmengine asks the device for every value in every iteration, and each time the host
waits until all work before it is done. Here a value that is a tensor is put by. Who
reads the log, the logger once an interval, a checkpoint, or a hook, has all of them
fetched in one copy: the same numbers, in the same order, in the same averages.
"""

from collections.abc import Sequence

import torch
from mmengine.logging import MessageHub
from torch import Tensor

MOST = 10_000  # values of a name, in a log that nobody reads
_WAITING = '_waiting'


def fetched(values: Sequence[Tensor]) -> list[float]:
    """Numbers from tensors of one element, in one copy from each device.

    Example:
        >>> fetched([torch.tensor(0.5), torch.tensor([2.0], dtype=torch.float64)])
        [0.5, 2.0]
    """
    places: dict[torch.device, list[int]] = {}
    for place, value in enumerate(values):
        places.setdefault(value.device, []).append(place)
    numbers = [0.0] * len(values)
    for found in places.values():
        # Joined in the widest type of theirs, which has each value as it is
        joined = torch.cat([values[place].detach().reshape(1) for place in found])
        for place, number in zip(found, joined.tolist(), strict=True):
            numbers[place] = number
    return numbers


def let_values_wait() -> None:
    """Change mmengine's hub for messages, and the norm of gradients that it is sent."""
    from mmengine.optim import OptimWrapper  # compat mends how it is imported

    theirs = MessageHub.update_scalar
    get_scalar, state_dict = MessageHub.get_scalar, MessageHub.state_dict

    def update_scalar(self, key, value, count=1, resumed=True):
        waiting = vars(self).setdefault(_WAITING, {})
        if _can_wait(value):
            # A copy: its owner may change it
            kept = value.detach().clone(), count, resumed
            waiting.setdefault(key, []).append(kept)
            if len(waiting[key]) == MOST:
                enter(self)
            return
        if key in waiting:
            enter(self)
        theirs(self, key, value, count, resumed)

    def enter(self):
        """Those that wait, into the log."""
        waiting = vars(self).pop(_WAITING, {})
        numbers = iter(fetched([kept[0] for row in waiting.values() for kept in row]))
        for key, row in waiting.items():
            for _, count, resumed in row:
                theirs(self, key, next(numbers), count, resumed)

    def all_entered(self):
        enter(self)
        return self._log_scalars

    def one_entered(self, key):
        # Each iteration asks for its time, which never waits
        if key in vars(self).get(_WAITING, ()) or key not in self._log_scalars:
            return get_scalar(self, key)
        return self._log_scalars[key]

    def state_entered(self):
        enter(self)
        return state_dict(self)

    MessageHub.update_scalar = update_scalar
    MessageHub.log_scalars = property(all_entered, doc=MessageHub.log_scalars.__doc__)
    MessageHub.get_scalar = one_entered
    MessageHub.state_dict = state_entered
    OptimWrapper._clip_grad = _clip_grad


def _can_wait(value) -> bool:
    return (
        isinstance(value, Tensor) and value.numel() == 1 and value.is_floating_point()
    )


def _clip_grad(self) -> None:
    """mmengine's, which leaves the norm of the gradients on its device."""
    groups = self.optimizer.param_groups
    parameters = [p for g in groups for p in g['params'] if p.requires_grad]
    parameters = [p for p in parameters if p.grad is not None]
    if not parameters:
        return
    norm = self.clip_func(parameters, **self.clip_grad_kwargs)
    if norm is not None:
        self.message_hub.update_scalar(f'train/{self.grad_name}', norm)
