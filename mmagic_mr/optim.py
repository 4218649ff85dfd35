"""Optimizer steps in one kernel, and networks in half precision on any device."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch
from mmengine.logging import MMLogger, print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from mmagic_mr.checks import checked
from mmagic_mr.errors import UserError

_said: set[tuple[str, str]] = set()


def bf16_supported(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16, so that it gains by them.

    Example:
        >>> bf16_supported(torch.device('meta'))
        False
    """
    if device.type == 'cuda':
        # Before compute capability 8.0 it is emulated
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == 'cpu':
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return False


def amp_dtype(amp: str | None, device: torch.device) -> torch.dtype:
    """What networks compute in.

    Args:
        amp: 'auto', bfloat16 where the device has it; 'bf16', there or an error; None,
            float32.
        device: That the parameters are on.

    Raises:
        UserError: 'bf16', and the device has none.

    Example:
        >>> amp_dtype('auto', torch.device('meta'))
        torch.float32
    """
    if amp is None:
        return torch.float32
    if bf16_supported(device):
        return torch.bfloat16
    if amp == 'bf16':
        raise UserError(
            f'amp="bf16": {device} has no bfloat16; take "auto", which computes in '
            'float32 there, or, on a GPU, --amp fp16'
        )
    return torch.float32


@OPTIM_WRAPPERS.register_module()
class FastOptimWrapper(OptimWrapper):
    """mmengine's wrapper, with networks in half precision and a fused optimizer.

    Inside ``optim_context`` convolutions and matrix products run in bfloat16. Weights,
    their gradients, the optimizer, samples, moments, scores and the logits of a
    discriminator stay in float32. No scaling of the loss is needed: bfloat16 has the
    range of float32. Validation, test and the tools sample in float32, so that their
    numbers are the same with and without.

    Nothing is added to a checkpoint; it serves runs with and without these switches.

    Args:
        amp: ``'auto'``: bfloat16 where the device has it, a CPU too, and float32, with
            a line in the log, elsewhere; ``'bf16'``: an error elsewhere; None: float32.
            For float16 with scaling take mmengine's ``AmpOptimWrapper``, as
            ``--amp fp16`` of ``tools/train.py`` does.
        fused: Let the optimizer update all parameters in one kernel, where PyTorch has
            one for it and the device; AMSGrad is no obstacle. It equals the plain one
            to rounding.
        kwargs: Those of mmengine's ``OptimWrapper``.

    Raises:
        UserError: Of ``amp='bf16'``, the device has none.

    Example:
        >>> net = nn.Linear(2, 1)
        >>> wrapper = FastOptimWrapper(optimizer=torch.optim.Adam(net.parameters()))
        >>> wrapper.optimizer.param_groups[0]['fused'], wrapper.dtype
        (True, torch.float32)
    """

    @checked
    def __init__(
        self,
        *args,
        amp: Literal['auto', 'bf16'] | None = None,
        fused: bool = True,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        (self.device,) = {p.device for p in self._parameters()}
        self.dtype = amp_dtype(amp, self.device)
        self._asked = fused
        self.fused = fused and can_fuse(self.optimizer)
        if amp is not None:
            self._say_dtype()
        if fused and not self.fused:
            name = type(self.optimizer).__name__
            _say_once(f'PyTorch has no fused {name} for {self.device.type}: unfused')
        self._fuse()

    def _parameters(self) -> list[nn.Parameter]:
        groups = self.optimizer.param_groups
        return [parameter for group in groups for parameter in group['params']]

    def _say_dtype(self) -> None:
        if self.dtype == torch.float32:
            _say_once(
                f'amp: {self.device.type} has no bfloat16: networks compute in float32'
            )
        else:
            _say_once(
                f'amp: networks compute in {str(self.dtype)[6:]} on '
                f'{self.device.type}; weights, moments and scores are in float32'
            )

    def _fuse(self) -> None:
        if self._asked:
            for group in self.optimizer.param_groups:
                if 'fused' in group:
                    group['fused'] = self.fused or None
                if self.fused and 'foreach' in group:
                    group['foreach'] = False
        if any(group.get('fused') for group in self.optimizer.param_groups):
            self._lay_out()

    def _lay_out(self) -> None:
        # The kernel takes memory as it lies. A state of another memory format, from a
        # run without channels_last for one, would go to other weights, without a word.
        for parameter, slots in self.optimizer.state.items():
            for name, value in slots.items():
                if value.shape == parameter.shape != ():
                    slots[name] = torch.empty_like(parameter.data).copy_(value)
                elif name == 'step':
                    slots[name] = value.to(parameter.device, torch.float32)

    def state_dict(self) -> dict:
        state = super().state_dict()
        if self._asked:  # of this machine, and not of the training
            for group in state.get('param_groups', ()):
                group |= {key: None for key in ('fused', 'foreach') if key in group}
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        super().load_state_dict(state_dict)
        self._fuse()

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        # No cache: a weight that was cast in torch.no_grad() would have no gradient
        # afterwards, on older versions of PyTorch.
        half = (
            nullcontext()
            if self.dtype == torch.float32
            else torch.autocast(self.device.type, self.dtype, cache_enabled=False)
        )
        with super().optim_context(model), half:
            yield


def can_fuse(optimizer: torch.optim.Optimizer) -> bool:
    """Whether PyTorch has this optimizer in one kernel for the parameters' device.

    Example:
        >>> parameters = [nn.Parameter(torch.zeros(1))]
        >>> can_fuse(torch.optim.Adam(parameters, amsgrad=True))
        True
        >>> can_fuse(torch.optim.Rprop(parameters))
        False
    """
    if 'fused' not in optimizer.defaults:
        return False
    devices = {p.device for g in optimizer.param_groups for p in g['params']}
    try:
        for device in devices:
            probe = nn.Parameter(torch.zeros(1, device=device))
            type(optimizer)([probe], lr=0.1, fused=True)
    except (RuntimeError, TypeError):  # what it says where there is none
        return False
    return True


def _say_once(message: str) -> None:
    """An INFO line, for all networks of a run together."""
    run = MMLogger.get_current_instance().instance_name
    if (run, message) not in _said:
        _said.add((run, message))
        print_log(message, 'current')
