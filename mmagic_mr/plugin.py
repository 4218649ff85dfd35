"""The one import a config needs: it registers everything in MMagic's registries.

Every module of the rooms below is imported, so that a new file needs no line here.
"""

import importlib
import inspect
import pkgutil
from types import ModuleType

from torch import nn

# First: it mends mmengine too, which the rooms import
from mmagic_mr.host import MODELS, imported

# isort: split
from mmagic_mr import data, hooks, losses, metrics, models
from mmagic_mr import optim as optim  # registers on import


def modules_of(package: ModuleType) -> list[ModuleType]:
    """The modules that lie in a package, its subpackages left out."""
    return [
        importlib.import_module(f'{package.__name__}.{found.name}')
        for found in pkgutil.iter_modules(package.__path__)
        if not found.ispkg
    ]


def register_losses() -> None:
    """Enter the losses, which know nothing of MMagic, under their names.

    Again is harmless; a different class of the same name is refused.
    """
    for module in modules_of(losses):
        for name, loss in vars(module).items():
            own = inspect.isclass(loss) and loss.__module__ == module.__name__
            if not own or not issubclass(loss, nn.Module) or loss is losses.SampleLoss:
                continue
            if imported(MODELS).get(name) is not loss:
                MODELS.register_module(module=loss)


for room in data, hooks, metrics, models:
    modules_of(room)
register_losses()
