"""Before a run goes on from a checkpoint: is it still the same training?"""

import logging
import os
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from mmengine.runner.checkpoint import get_state_dict
from torch import nn

from mmagic_mr.checkpoints.configs import changes, parse
from mmagic_mr.checkpoints.files import check_fits, plain_names, state_dict_of
from mmagic_mr.errors import UserError

# In a checkpoint's meta: the distribution of the predictor's moments.
_MOMENTS = 'moment_distribution'
# What mmengine's Runner takes from a checkpoint without asking whether it is there.
_PARTS = ('meta', 'state_dict', 'message_hub')


def check_resumed(
    checkpoint: Any, config_text: str, model: nn.Module, name: str | os.PathLike
) -> None:
    """Say what a resumed run changes; refuse what its parameters do not survive.

    One warning a setting. Refused are other networks, noise, and another distribution
    of the predictor: the parameters have another shape, or another meaning.

    Args:
        checkpoint: What the file holds.
        config_text: Config of the run, as ``pretty_text``.
        model: Of the run.
        name: Of the file.

    Raises:
        UserError: the checkpoint is of another model, or holds no run.
    """
    _check_run(checkpoint, name)
    found = _changes(checkpoint['meta'].get('cfg'), config_text, name)
    for change in found:
        _warn(f'resumed with another config than {name}: {change}')
    refused = [str(change) for change in found if change.meaning]
    remedy = 'use the config of the checkpoint, or train anew in another work dir'
    if refused:
        raise UserError(
            f'cannot resume from {name}: its parameters are of another model '
            f'({"; ".join(refused)}); {remedy}'
        )
    check_moments(checkpoint, model, name)
    try:
        stored = state_dict_of(checkpoint, name)
        check_fits(stored, get_state_dict(model), name)
    except UserError as error:
        raise UserError(f'cannot resume: {error}; {remedy}') from error


def name_plainly(checkpoint: Any, model: nn.Module) -> None:
    """Name the parameters in a checkpoint as mmengine looks for them.

    mmengine saves a model whose parts are wrapped for distributed runs under torch's
    names, ``generator.module.bias``, and looks for ``generator.bias``: it would go on
    from new weights, with a warning.

    Args:
        checkpoint: What is to be saved, or was loaded.
        model: Whose parameters they are.
    """
    stored = checkpoint.get('state_dict') if isinstance(checkpoint, dict) else None
    if not isinstance(stored, dict):
        return
    renamed = OrderedDict(plain_names(stored, get_state_dict(model)))
    if renamed.keys() == stored.keys():
        return
    versions = getattr(stored, '_metadata', {})  # of the modules, by their names
    renamed._metadata = {
        f'{name}.'.replace('.module.', '.')[:-1]: value
        for name, value in versions.items()
    }
    checkpoint['state_dict'] = renamed


def note_moments(checkpoint: dict[str, Any], model: nn.Module) -> None:
    """Write into a checkpoint of which distribution the predictor's moments are.

    Args:
        checkpoint: What will be saved.
        model: What it is of; only hosts of ours, with a loss of moments, say it.
    """
    distribution = getattr(model, _MOMENTS, None)
    if distribution is not None:
        checkpoint['meta'][_MOMENTS] = distribution


def check_moments(checkpoint: Any, model: nn.Module, name: str | os.PathLike) -> None:
    """Refuse a predictor of another distribution than the losses ask it for.

    Args:
        checkpoint: What the file holds; an old one does not say it, and passes.
        model: What is to take it.
        name: Of the file.

    Raises:
        UserError: a log variance would pass for another measure of dispersion.
    """
    meta = checkpoint.get('meta') if isinstance(checkpoint, Mapping) else None
    found = meta.get(_MOMENTS) if isinstance(meta, Mapping) else None
    asked = getattr(model, _MOMENTS, None)
    if None not in (found, asked) and found != asked:
        raise UserError(
            f'the predictor in {name} is of the distribution {found!r}, but the losses '
            f'of this config ask it for {asked!r}: give a checkpoint of the same one'
        )


def _check_run(checkpoint: Any, name: str | os.PathLike) -> None:
    missing = [
        part
        for part in _PARTS
        if not isinstance(checkpoint, Mapping)
        or not isinstance(checkpoint.get(part), Mapping)
    ]
    if missing:
        raise UserError(
            f'cannot resume from {name}: it holds no run (no {", ".join(missing)}); to '
            'begin with its weights, use --cfg-options load_from=FILE without --resume'
        )
    steps = [checkpoint['meta'].get(key) for key in ('epoch', 'iter')]
    if not all(type(step) is int and step >= 0 for step in steps):
        raise UserError(
            f'cannot resume from {name}: it does not say after how many iterations it '
            'was saved'
        )


def _changes(old_text: Any, new_text: str, name: str | os.PathLike):
    old = parse(old_text) if isinstance(old_text, str) else None
    new = parse(new_text)
    if old is None or new is None:
        what = name if old is None else 'this config'
        _warn(
            f'{what} holds no config of plain values: not compared with that of the run'
        )
        return []
    return changes(old, new)


def _warn(words: str) -> None:
    print_log(words, logger='current', level=logging.WARNING)
