"""Turns downloaded data sets into the folders that the configs read.

One module a data set, which declares its commands in ``COMMANDS``; no list names them,
``tools/prepare_data.py`` has every one that is found here. To add a data set, add a
module. Modules import what is heavy inside their functions, so that ``--help`` is
quick; none needs torch or mmagic.
"""

import importlib
import pkgutil

from mmagic_mr.data.prepare.command import Command


def find_commands() -> dict[str, Command]:
    """Commands that the modules of this folder declare, by name.

    Example:
        >>> sorted(find_commands())[:3]
        ['celeba-inpaint', 'celeba-sr', 'cityscapes']
    """
    found = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f'{__name__}.{info.name}')
        for command in getattr(module, 'COMMANDS', ()):
            if command.name in found:
                raise RuntimeError(f'two modules declare the command {command.name}')
            found[command.name] = command
    return found
