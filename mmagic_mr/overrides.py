"""``--cfg-options``: what KEY=VALUE means, and whether anything would read it."""

import argparse
import difflib
import re
from collections.abc import Collection, Iterable
from typing import Any

from mmagic_mr.errors import UserError

# What mmengine's Runner takes, and the tools, whether or not the config has it
TAKEN = frozenset(
    (
        'activation_checkpointing',
        'auto_scale_lr',
        'custom_hooks',
        'custom_imports',
        'cuts',
        'data_preprocessor',
        'data_root',
        'default_hooks',
        'default_scope',
        'env_cfg',
        'experiment_name',
        'launcher',
        'load_from',
        'log_level',
        'log_processor',
        'model',
        'model_wrapper_cfg',
        'num_samples',
        'optim_wrapper',
        'param_scheduler',
        'randomness',
        'resume',
        'size',
        'strategy',
        'sync_bn',
        'test_cfg',
        'test_dataloader',
        'test_evaluator',
        'train_cfg',
        'train_dataloader',
        'truth',
        'truth_path_key',
        'val_cfg',
        'val_dataloader',
        'val_evaluator',
        'vis_backends',
        'visualizer',
        'work_dir',
    )
)
TYPO = 0.87  # of difflib: max_iter and max_iters are 0.94 alike
SPACE = '\0'  # in the place of one that mmengine would take out


def overrides(values: Iterable[str], parse) -> dict[str, Any]:
    """The settings that the words after ``--cfg-options`` are.

    Args:
        values: Words, KEY=VALUE.
        parse: Of mmengine's ``DictAction``, from a text to a number, word or list. It
            would take all spaces out, those of a folder's name too.

    Raises:
        UserError: A word without '=', or brackets that do not close.

    Example:
        >>> from mmengine.config import DictAction
        >>> words = ['a.b=3', 'c=my folder', 'd=[1, x y]']
        >>> overrides(words, DictAction._parse_iterable)
        {'a.b': 3, 'c': 'my folder', 'd': [1, 'x y']}
    """
    found = {}
    for word in values:
        key, equals, text = word.partition('=')
        if not equals:
            raise UserError(
                f'--cfg-options: {word!r} is not KEY=VALUE; a value with spaces needs '
                'quotes around it'
            )
        text = text.strip('\'"')
        if text.startswith(('(', '[')) or ',' in text:  # a list: layout is taken out
            text = re.sub(r'\s*([][(),])\s*', r'\1', text)
        try:
            found[key] = _spaced(parse(text.replace(' ', SPACE)))
        except AssertionError as error:
            raise UserError(f'--cfg-options: {word!r}: {error}') from error
    return found


def _spaced(value):
    if isinstance(value, list | tuple):
        return type(value)(_spaced(inner) for inner in value)
    return value.replace(SPACE, ' ') if isinstance(value, str) else value


def action(parse) -> type[argparse.Action]:
    """Of ``argparse``, for ``--cfg-options``; ``parse`` as for `overrides`."""

    class Overrides(argparse.Action):
        def __call__(self, parser, namespace, values, option_string=None):
            try:
                new = overrides(values, parse)
            except UserError as error:
                parser.error(str(error))
            old = getattr(namespace, self.dest, None) or {}
            setattr(namespace, self.dest, {**old, **new})

    return Overrides


def check_names(cfg, options: Iterable[str]) -> None:
    """Refuse a setting that nothing would read: a slip of the pen.

    New settings are welcome, unless their name is nearly that of one that is there, or
    they are at the top, where nobody reads what is not in the config.

    Args:
        cfg: mmengine's Config, before the options are merged.
        options: Their keys.

    Raises:
        UserError: Names the setting that was meant.

    Example:
        >>> from mmengine.config import Config
        >>> cfg = Config(dict(train_cfg=dict(max_iters=9)))
        >>> check_names(cfg, ['train_cfg.max_iter'])
        Traceback (most recent call last):
        mmagic_mr.errors.UserError: --cfg-options: train_cfg.max_iter: train_cfg has ...
    """
    for key in options:
        part, path = cfg, []
        for name in key.split('.'):
            if isinstance(part, list | tuple):
                if not name.isdigit() or int(name) >= len(part):
                    break  # mmengine says what is wrong
                part = part[int(name)]
            elif not hasattr(part, 'keys'):
                break
            elif name in part:
                part = part[name]
            else:
                _refuse(key, name, path, part.keys())
                break
            path.append(name)


def _refuse(key: str, name: str, path: list[str], known: Collection[str]) -> None:
    if not path:
        if name in TAKEN:
            return
        known = {*known, *TAKEN}
    close = [
        word
        for word in difflib.get_close_matches(name, known, n=3, cutoff=TYPO)
        if word.rstrip('0123456789') != name.rstrip('0123456789')  # another of a kind
    ]
    where = '.'.join(path) or 'the config'
    if close:
        raise UserError(
            f'--cfg-options: {key}: {where} has no {name!r}; '
            f'did you mean {" or ".join(sorted(close))}?'
        )
    if not path:
        raise UserError(
            f'--cfg-options: {key}: {where} has no {name!r}, and nothing reads it; '
            'settings of the model are model.NAME, of the training train_cfg.NAME'
        )
