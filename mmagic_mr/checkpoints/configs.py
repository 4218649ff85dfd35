"""What a resumed run changes in the config of its checkpoint."""

import ast
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# What training depends on; beside these, a config has names of its own.
_OF_TRAINING = {
    'auto_scale_lr',
    'custom_hooks',
    'data_preprocessor',
    'default_hooks',
    'env_cfg',
    'model',
    'optim_wrapper',
    'param_scheduler',
    'randomness',
    'train_cfg',
    'train_dataloader',
    'val_cfg',
    'val_dataloader',
    'val_evaluator',
}
# Configs in the model's that are no networks, beside those with `loss` in their names.
_NO_NETWORKS = {'data_preprocessor', 'init_cfg', 'input_norm', 'test_cfg', 'train_cfg'}
_ABSENT = '(none)'


class Change(NamedTuple):
    """One setting that differs."""

    key: str
    old: Any
    new: Any
    meaning: bool  # the parameters have another shape or meaning

    def __str__(self) -> str:
        return f'{self.key}: {_short(self.old)} -> {_short(self.new)}'


def parse(text: str) -> dict[str, Any] | None:
    """The settings in the text of a config, which is read and never executed.

    Returns:
        Settings by name; None: the text holds more than plain values.

    Example:
        >>> parse('model = dict(type="A", sites={"a.*": 3}, sizes=[1, -2])')
        {'model': {'type': 'A', 'sites': {'a.*': 3}, 'sizes': [1, -2]}}
        >>> parse('import os')
    """
    try:
        with warnings.catch_warnings():
            # mmengine writes a backslash in a key as it is
            warnings.simplefilter('ignore')
            lines = ast.parse(text).body
        return {_target(line): _value(line.value) for line in lines}
    except (
        SyntaxError,
        ValueError,
        AttributeError,
        TypeError,
        RecursionError,
        MemoryError,
    ):
        return None


def _target(line: ast.stmt) -> str:
    (target,) = line.targets
    return target.id


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        if node.func.id != 'dict':
            raise ValueError(node.func.id)
        pairs = {}
        for argument in node.args:
            pairs.update(_value(argument))
        return pairs | {item.arg: _value(item.value) for item in node.keywords}
    if isinstance(node, ast.Dict):
        return {
            ast.literal_eval(key): _value(value)
            for key, value in zip(node.keys, node.values, strict=True)
        }
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Name):  # inf, nan
        return node.id
    return ast.literal_eval(node)


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Every setting of the training that two configs do not share.

    Example:
        >>> old = parse('model = dict(generator=dict(type="A", channels=4), K=2)')
        >>> new = parse('model = dict(generator=dict(type="A", channels=8), K=3)')
        >>> for change in changes(old, new):
        ...     print(change, change.meaning)
        model.generator.channels: 4 -> 8 True
        model.K: 2 -> 3 False
    """
    return [
        Change(
            '.'.join(map(_printable, path)), before, after, _is_meaning(path, old, new)
        )
        for path, before, after in _differing((), old, new)
        if path[0] in _OF_TRAINING
    ]


def _differing(path: tuple, old: Any, new: Any) -> Iterator[tuple[tuple, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from _differing(
                (*path, key), old.get(key, _ABSENT), new.get(key, _ABSENT)
            )
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from _differing((*path, index), *pair)
    elif old != new:
        yield path, old, new


def _is_meaning(path: tuple, old: Mapping, new: Mapping) -> bool:
    """Whether the parameters of a network have another shape or meaning with it."""
    top, *rest = path
    if top != 'model' or not rest:
        # order 1 leaves the predictor's dispersion untrained
        return top == 'custom_hooks' and 'nll' in path and path[-1] == 'order'
    key = str(rest[0])
    if rest == ['type'] or key == 'noise':
        return True
    models = [config.get('model', {}) for config in (old, new)]
    if path[-1] == 'distribution':
        # What the predictor's second output is: the losses say it
        return all(model.get('predictor') for model in models)
    if 'loss' in key or key in _NO_NETWORKS or 'init_cfg' in rest:
        return False
    return any(
        isinstance(model.get(key), Mapping) and 'type' in model[key] for model in models
    )


def _printable(key: Any) -> str:
    return str(key) if str(key).isprintable() else repr(key)


def _short(value: Any) -> str:
    text = value if value == _ABSENT else repr(value)
    return text if len(text) <= 80 else f'{text[:77]}...'
