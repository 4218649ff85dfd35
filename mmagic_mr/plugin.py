"""The one import a config needs: it registers everything in MMagic's registries."""

# isort: off
from . import compat  # noqa: F401  (first: MMagic's models do not import without it)

# Registering modules, one line each, in the order of their dependencies.
from . import datasets  # noqa: F401
from . import losses  # noqa: F401
from . import predictor  # noqa: F401
from . import models  # noqa: F401
from . import hooks  # noqa: F401
from .metrics import registered  # noqa: F401
# isort: on
