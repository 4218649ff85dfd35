"""Images that lie in memory with their channels together."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

CONVOLUTIONS = nn.Conv2d | nn.ConvTranspose2d


def use_channels_last(model: nn.Module) -> None:
    """Weights, and so images, with their channels together.

    Where fully connected layers follow convolutions, MMagic flattens with ``view``,
    which is for the other format alone: what goes there is brought back to it.

    Example:
        >>> class Judge(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.conv, self.fc = nn.Conv2d(3, 4, 1), nn.Linear(16, 1)
        ...     def forward(self, x):
        ...         return self.fc(self.conv(x).view(len(x), -1))
        >>> judge = Judge()
        >>> use_channels_last(judge)
        >>> judge(torch.zeros(2, 3, 2, 2)).shape
        torch.Size([2, 1])
    """
    model.to(memory_format=torch.channels_last)
    for module in list(last_before_linear(model)):
        module.register_forward_hook(_contiguous)


def last_before_linear(model: nn.Module) -> Iterator[nn.Module]:
    """What computes the last images in each module that has linear layers after it."""
    for module in model.modules():
        children = list(module.children())
        convolving = [c for c in children if _has(c, CONVOLUTIONS)]
        linear = [c for c in children if _has(c, nn.Linear) and c not in convolving]
        if convolving and linear:
            yield convolving[-1]


def _has(module, kind):
    return any(isinstance(part, kind) for part in module.modules())


def _contiguous(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
    return output.contiguous() if isinstance(output, Tensor) else output
