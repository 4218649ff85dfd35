"""The one import a config needs: it registers everything in MMagic's registries."""

from mmagic_mr import hooks, losses, metrics, models  # noqa: F401
from mmagic_mr.data import datasets  # noqa: F401
from mmagic_mr.host import MODELS
from mmagic_mr.metrics import registered  # noqa: F401


def _register_losses() -> None:
    """Enter the losses, which know nothing of MMagic, under their names.

    Again is harmless; a different class of the same name is refused.
    """
    for name in losses.__all__:
        loss = getattr(losses, name)
        known = MODELS.module_dict.get(name) is loss
        if loss is not losses.SampleLoss and not known:
            MODELS.register_module(module=loss)


_register_losses()
