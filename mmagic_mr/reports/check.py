"""Is a JSON file what it should be? Results come from other people, too."""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmagic_mr.errors import UserError
from mmagic_mr.metrics.record import Record

TEXT, WHOLE, NUMBER = 'a text', 'a whole number', 'a number'
# What each key holds: a kind, a list of one kind, a dict by name, or one of several
# in a tuple. A dict may have other keys too; their values must be plain.
ANYTHING = object()
RUN = dict(
    method=TEXT,
    records=[ANYTHING],
    num_samples=WHOLE,
    seed=(WHOLE, None),
    dataset=dict(type=(TEXT, None), root=TEXT, size=(WHOLE, None)),
    collages=[TEXT],
    checkpoint=(dict(file=TEXT, sha256=TEXT), None),
    config=dict(name=TEXT, text=TEXT),
    versions={TEXT: TEXT},
)
INTERVAL = dict(low=(NUMBER, None), high=(NUMBER, None))
RECORD = dict(
    **dict.fromkeys(('group', 'key', 'name', 'better', 'protocol', 'network'), TEXT),
    **dict.fromkeys(('range', 'unit', 'headline'), TEXT),
    **dict.fromkeys(('inputs', 'samples', 'seed'), WHOLE),
    value=(NUMBER, None),
    **INTERVAL,
    extra={},
)
EXTRA = dict(
    **dict.fromkeys(('ceiling', 'floor', 'exact'), (NUMBER, None)),
    verdict=TEXT,
    ranks=([NUMBER], None),
)
REALISM = dict(mean=NUMBER, **INTERVAL)


def read_json(path: str | os.PathLike, what: str) -> Any:
    """What a JSON file holds.

    Args:
        path: the file.
        what: what it should be, for the error.

    Raises:
        UserError: it is no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path} is no {what}') from error


def check(value: Any, kind: Any, name: str) -> None:
    """Raise TypeError, with the name, unless the value is of a kind.

    Args:
        value: from a JSON file.
        kind: as in `RUN`.
        name: of the value, for the error.

    Example:
        >>> check({'a': [1, 2.5]}, {'a': [NUMBER]}, 'run')
        >>> check({'a': [1, 'x']}, {'a': [NUMBER]}, 'run')
        Traceback (most recent call last):
        TypeError: run.a.1 is 'x', not a number
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if kind is ANYTHING or (value is None and None in kinds):
        return
    kind = kinds[0]
    if isinstance(kind, list) and isinstance(value, list):
        for i, item in enumerate(value):
            check(item, kind[0], f'{name}.{i}')
    elif isinstance(kind, dict) and isinstance(value, dict):
        for key in dict.fromkeys([*kind, *value]):
            if key == TEXT and key not in value:
                continue
            if key not in value:
                raise TypeError(f'{name} has no {key!r}')
            check(value[key], kind.get(key, kind.get(TEXT, ANYTHING)), f'{name}.{key}')
    elif isinstance(kind, str) and _is(value, kind):
        return
    else:
        wanted = {list: 'a list', dict: 'an object'}.get(type(kind), kind)
        raise TypeError(f'{name} is {_short(value)}, not {wanted}')


def _is(value, kind):
    if kind == TEXT:
        return isinstance(value, str) and _is_unicode(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if kind == WHOLE and not isinstance(value, int):
        return False
    return -1e300 < value < 1e300  # false for NaN, and right for 400 digits


def _is_unicode(text):
    """Without half characters, which JSON can hold and no file can."""
    return not any('\ud800' <= letter <= '\udfff' for letter in text)


def _short(value):
    text = ascii(value)
    return text if len(text) <= 40 else text[:40] + '...'


def check_run(run: dict) -> None:
    """Raise TypeError unless a run has all that the report shows, as it should be."""
    check(run, RUN, 'run')
    if not run['method'].strip():
        raise TypeError('method is empty')
    for name in run['collages']:
        if '\0' in name:
            raise TypeError(f'collages names {name!r}')


def check_record(fields: Any) -> Record:
    """The record of these fields.

    Raises:
        TypeError: they are no record's.
    """
    check(fields, {}, 'one of the records')
    record = Record(**fields)
    key = f'{_short(record.key)}'
    check(vars(record), RECORD, key)
    known = {name: EXTRA.get(name, ANYTHING) for name in record.extra}
    check(record.extra, known, f'extra of {key}')
    if (record.low is None) != (record.high is None):
        raise TypeError(f'{key} has one end of an interval, low or high, alone')
    _check_ranks(record.extra.get('ranks'), key)
    return record


def _check_ranks(shares: Sequence[float] | None, key: str) -> None:
    if shares and not (min(shares) >= 0 and math.isclose(sum(shares), 1, abs_tol=0.01)):
        raise TypeError(f'the ranks of {key} are no shares of a whole')


def check_realism(score: Any) -> None:
    """Raise TypeError unless it is dict(mean, low, high)."""
    check(score, dict(mean=NUMBER), 'realism')
    check({'low': None, 'high': None} | score, REALISM, 'realism')
    if (score.get('low') is None) != (score.get('high') is None):
        raise TypeError('realism has one end of an interval alone')
