"""The one import a config needs: it registers everything in MMagic's registries."""

from mmagic_mr import hooks, losses, metrics, models  # noqa: F401
from mmagic_mr.data import datasets, transforms  # noqa: F401
from mmagic_mr.metrics import registered  # noqa: F401
