"""The autocast of a forward pass, for what is computed again in the backward pass."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def autocast_now(device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """What enters autocast as it is now, on this kind of device.

    Its cache of weights stays off: what was cast without a graph serves no backward
    pass.

    Example:
        >>> with torch.autocast('cpu', torch.bfloat16):
        ...     again = autocast_now(torch.device('cpu'))
        >>> a = torch.ones(2, 2)
        >>> with again():
        ...     (a @ a).dtype
        torch.bfloat16
    """
    kind = device.type
    if kind not in ('cpu', 'cuda'):  # 'meta' has none, and asking is an error
        return nullcontext
    if hasattr(torch, 'get_autocast_dtype'):
        enabled = torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind)
    elif kind == 'cpu':  # torch before 2.4
        enabled, dtype = torch.is_autocast_cpu_enabled(), torch.get_autocast_cpu_dtype()
    else:
        enabled, dtype = torch.is_autocast_enabled(), torch.get_autocast_gpu_dtype()
    return lambda: torch.autocast(kind, dtype, enabled, cache_enabled=False)
