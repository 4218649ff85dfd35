"""``torch.compile`` of the parts of a network that the noise leaves alone.

A compiled graph takes tensors as they are. Rows per input and rows per sample that meet
(`mmagic_mr.sampling.sharing`) and noise that is drawn half-way do not fit into one. So
the largest parts without noise are compiled, and each of them runs as it is where a
call brings both kinds of rows.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch._functorch.config as functorch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmagic_mr.sampling.channel_cat import ChannelCat, leaves
from mmagic_mr.sampling.noise import NoiseInput
from mmagic_mr.sampling.recompute import active_contexts


def compile_parts(
    network: nn.Module, name: str, options: Mapping[str, Any] | None = None
) -> list[str]:
    """Compile the parts of a network without noise, when they are first called.

    Names of modules and parameters stay, and a copy of the network is not compiled.

    Args:
        network: With or without noise sites.
        name: Of the network, for the log.
        options: Of ``torch.compile``.

    Returns:
        The names of the parts; ``['']`` is the whole network.

    Example:
        >>> net = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.Tanh())
        >>> compile_parts(net, 'net')
        ['']
    """
    if hasattr(functorch, 'donated_buffer'):
        functorch.donated_buffer = False  # `Balance` goes back through a graph twice
    parts = dict(regions(network))
    told = Told(name)
    for module in parts.values():
        module._compiled_call_impl = Region(module, told, options or {})
    if not parts:
        told.say(f'{name} has noise in each of its blocks: it runs as it is')
    return list(parts)


class Told:
    """Says one thing of a network, once."""

    def __init__(self, name: str):
        self.name = name
        self._said: set[str] = set()

    def say(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            print_log(f'compile: {message}', 'current')


def regions(network: nn.Module, name: str = '') -> Iterator[tuple[str, nn.Module]]:
    """The largest parts that hold no noise site, single layers left out."""
    children = list(network.named_children())
    if not children:
        return
    if not any(isinstance(module, NoiseInput) for module in network.modules()):
        if isinstance(network, nn.ModuleList | nn.ModuleDict):  # are not called
            for child, module in children:
                yield from regions(module, f'{name}.{child}'.lstrip('.'))
        else:
            yield name, network
        return
    for child, module in children:
        yield from regions(module, f'{name}.{child}'.lstrip('.'))


class Region:
    """Calls a compiled module, or the module itself where the graph would break.

    Args:
        module: To be compiled; in its ``_compiled_call_impl``, where PyTorch's own
            ``Module.compile`` has it, which neither copies nor checkpoints hold.
        told: What was said of its network.
        options: Of ``torch.compile``.
    """

    def __init__(self, module: nn.Module, told: Told, options: Mapping[str, Any]):
        self.plain: Callable[..., Any] = module._call_impl
        plain = self.plain

        def call(*args: Any, **kwargs: Any) -> Any:
            return plain(*args, **kwargs)

        # The limit of recompilations is one for all functions of the same code
        call.__code__ = call.__code__.replace()
        self.compiled: Callable[..., Any] | None = torch.compile(call, **options)
        self.told = told

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.compiled is None:
            return self.plain(*args, **kwargs)
        if is_mixed((args, kwargs)):
            self.told.say(
                f'what gets rows per input and per sample together in '
                f'{self.told.name} runs as it is: sharing the work between them '
                'breaks the graph'
            )
            return self.plain(*args, **kwargs)
        try:
            # Without the mode that shares rows: there are none of two kinds
            with torch._C.DisableTorchFunction():
                return self.compiled(*args, **kwargs)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = ' '.join(str(error).split('\n\n')[0].split())
            self.told.say(f'{self.told.name} runs as it is, since {reason}')
            self.compiled = None
            return self.plain(*args, **kwargs)


def is_mixed(arguments: Any) -> bool:
    """Whether images of N and of N*K rows, or a concatenation of them, are there."""
    found = list(leaves(arguments))
    if any(isinstance(value, ChannelCat) for value in found):
        return True
    rows = {len(value) for value in found if isinstance(value, Tensor) and value.dim()}
    return len(rows) > 1 and bool(active_contexts())
