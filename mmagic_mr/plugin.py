"""The one import a config needs: it registers everything in MMagic's registries."""

from mmagic_mr import hooks, losses, models  # noqa: F401
from mmagic_mr.data import datasets  # noqa: F401
from mmagic_mr.metrics import (  # noqa: F401
    calibration,
    diversity,
    fidelity,
    reconstruction,
)
