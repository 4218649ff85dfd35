"""What a config may hold: arguments judged by the annotations of a constructor."""

import difflib
import functools
import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from numbers import Integral, Real
from typing import (
    Annotated,
    Any,
    Literal,
    ParamSpec,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from mmagic_mr.errors import UserError

P = ParamSpec('P')


@dataclass(frozen=True)
class Range:
    """Numbers from low to high; ``ends`` says whether these are among them."""

    low: float
    high: float = inf
    ends: bool = True

    def __contains__(self, number: Any) -> bool:
        if self.ends:
            return bool(self.low <= number <= self.high)
        return bool(self.low < number < self.high)

    def __str__(self) -> str:
        if self.high == inf:
            return f'{"of at least" if self.ends else "above"} {self.low}'
        words = 'from {} to {}' if self.ends else 'between {} and {}'
        return words.format(self.low, self.high)


Count = Annotated[int, Range(1)]
Natural = Annotated[int, Range(0)]
Positive = Annotated[float, Range(0, ends=False)]
NotNegative = Annotated[float, Range(0)]
Ratio = Annotated[float, Range(0, 1, ends=False)]
Color = tuple[float, float, float]
Level = Annotated[float, Range(0, 255)]  # of a color, in a file


def checked(init: Callable[P, None]) -> Callable[P, None]:
    """Decorator of a constructor that refuses what its annotations do not allow.

    An ``int`` is a whole number, a ``float`` a finite one, and neither is a bool; a
    tuple may be a list, as it is in a config. `Count` and its like add a range. What
    has no annotation passes.

    Raises:
        UserError: From the constructor: an argument of another type or out of range,
            one that is missing, one that no constructor of the class has.

    Example:
        >>> class Hook:
        ...     @checked
        ...     def __init__(self, interval: Count = 5, keys: tuple[str, ...] = ()):
        ...         self.interval = interval
        >>> Hook(interval=1.5)
        Traceback (most recent call last):
        mmagic_mr.errors.UserError: Hook: interval must be a whole number of at least \
1, got 1.5
        >>> Hook(intervall=2)
        Traceback (most recent call last):
        mmagic_mr.errors.UserError: Hook has no argument 'intervall'; did you mean \
interval?
    """
    signature = inspect.signature(init)

    @functools.wraps(init)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        owner = type(args[0])
        known = argument_names(owner, wrapper)
        for name in kwargs:
            if known is not None and name not in known:
                raise UserError(
                    f'{owner.__name__} has no argument {name!r}{near(name, known)}'
                )
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise UserError(f'{owner.__name__}: {error}') from None
        kinds = get_type_hints(init, include_extras=True)
        for name, value in given.items():
            if signature.parameters[name].kind not in (
                inspect.Parameter.VAR_KEYWORD,
                inspect.Parameter.VAR_POSITIONAL,
            ):
                check_kind(f'{owner.__name__}: {name}', value, kinds.get(name, Any))
        init(*args, **kwargs)

    return wrapper


def argument_names(cls: type, init: Callable[..., None]) -> list[str] | None:
    """What a class's constructor takes by name, those before it in turn included.

    Args:
        cls: The class.
        init: The constructor, its own or that of a base.

    Returns:
        The names; None: it takes anything.

    Example:
        >>> argument_names(Range, Range.__init__)
        ['low', 'high', 'ends']
    """
    names: list[str] = []
    all_of = [vars(c)['__init__'] for c in cls.__mro__ if '__init__' in vars(c)]
    for constructor in all_of[all_of.index(init) : -1]:  # the last is that of `object`
        parameters = list(inspect.signature(constructor).parameters.values())[1:]
        named = [
            p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        ]
        names += [p.name for p in named if p.name not in names]
        takes_more = any(p.kind is p.VAR_KEYWORD for p in parameters)
        if constructor is init and not takes_more:
            return names
    # Between them there may be one that takes no more, but is passed over.
    return None if takes_more else names


def near(word: object, words: Iterable[str]) -> str:
    """The end of a sentence about a word that is none: names that are near it.

    Example:
        >>> near('intervall', ['interval', 'window'])
        '; did you mean interval?'
        >>> near('x', ['interval'])
        ''
    """
    found = difflib.get_close_matches(str(word), list(words), n=3)
    return f'; did you mean {" or ".join(found)}?' if found else ''


def shown(value: object, limit: int = 80) -> str:
    """A value in an error: one line, not too long."""
    text = ' '.join(repr(value).split())
    return text if len(text) <= limit else f'{text[:limit]}...'


def check_kind(name: str, value: object, kind: Any) -> None:
    """Refuse a value that an annotation does not allow.

    Raises:
        UserError: If it does not.

    Example:
        >>> check_kind('sides', [48, 64], tuple[int, int])
        >>> check_kind('sides', [48.5, 64], tuple[int, int])
        Traceback (most recent call last):
        mmagic_mr.errors.UserError: sides must be a list of 2, each of it a whole \
number, got [48.5, 64]
    """
    if not fits(value, kind):
        raise UserError(f'{name} must be {in_words(kind)}, got {shown(value)}')


def fits(value: Any, kind: Any) -> bool:
    """Whether an annotation allows a value.

    Example:
        >>> fits(True, int), fits(None, int | None), fits(['a'], tuple[str, ...])
        (False, True, True)
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Annotated:
        return fits(value, parts[0]) and all(value in r for r in parts[1:])
    if origin is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        if parts[-1] is ...:
            return all(fits(item, parts[0]) for item in value)
        return len(value) == len(parts) and all(map(fits, value, parts))
    if origin in (list, Sequence):
        return isinstance(value, list | tuple) and all(fits(i, parts[0]) for i in value)
    if origin in (dict, Mapping):
        return isinstance(value, Mapping) and all(
            fits(item, part)
            for pair in value.items()
            for item, part in zip(pair, parts, strict=True)
        )
    if kind in PLAIN:
        return PLAIN[kind][1](value)
    # A protocol is for type checkers alone; `Any` is a class since Python 3.11.
    if kind is Any or getattr(kind, '_is_protocol', False):
        return True
    return isinstance(value, kind) if isinstance(kind, type) else True


def in_words(kind: Any) -> str:
    """What an annotation allows, in words.

    Example:
        >>> in_words(Count | None)
        'a whole number of at least 1 or None'
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return ' or '.join(map(in_words, parts))
    if origin is Annotated:
        return ' '.join([in_words(parts[0]), *map(str, parts[1:])])
    if origin is Literal:
        return f'one of {", ".join(map(repr, parts))}'
    if origin is tuple and parts[-1] is not ...:
        return f'a list of {len(parts)}, each of it {in_words(parts[0])}'
    if origin in (tuple, list, Sequence):
        return f'a list, each of it {in_words(parts[0])}'
    if origin in (dict, Mapping):
        return f'a dict, each value {in_words(parts[1])}'
    return PLAIN[kind][0] if kind in PLAIN else str(getattr(kind, '__name__', kind))


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, Real) and isfinite(value) and value is not True
    except OverflowError:  # a whole number beyond all floats
        return False


# In words, and whether a value is one
PLAIN: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    bool: ('True or False', lambda v: isinstance(v, bool)),
    int: (
        'a whole number',
        lambda v: (
            isinstance(v, Integral) and not isinstance(v, bool) and abs(int(v)) < 2**63
        ),
    ),
    float: ('a finite number', lambda v: _is_finite(v) and not isinstance(v, bool)),
    str: ('a text', lambda v: isinstance(v, str)),
    dict: ('a dict', lambda v: isinstance(v, Mapping)),
    list: ('a list', lambda v: isinstance(v, list | tuple)),
    tuple: ('a list', lambda v: isinstance(v, list | tuple)),
    Callable: ('a function', callable),
    type(None): ('None', lambda v: v is None),
}
