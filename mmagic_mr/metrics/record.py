"""One number with all that is needed to compare it, and how it is printed."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Record:
    """One number, and everything needed to compare it with another.

    Args:
        group: what it measures: 'diversity', 'calibration', ...
        key: short name, unique within the group.
        name: what is printed.
        value: the number.
        better: 'higher', 'lower', or the value that an exact sampler would have.
        protocol: in words: which inputs, samples, pairs.
        network: features that it stands on; 'none'.
        range: range and order of the values that went in.
        inputs, samples: how many inputs, and how many samples of each.
        seed: of pairs, ties, bootstrap.
        low, high: 95% bootstrap interval over inputs, where there is one.
        unit: 'dB' or nothing.
        headline: head of its column in the table that compares runs, where
            ``{network}`` stands for the networks of all runs; empty: the number is
            in the list of all numbers only.
        extra: whatever else belongs to it: ceiling, floor, verdict, histogram;
            ``references``: what samplers of known quality have.
    """

    group: str
    key: str
    name: str
    value: float
    better: str
    protocol: str
    network: str
    range: str
    inputs: int
    samples: int
    seed: int
    low: float | None = None
    high: float | None = None
    unit: str = ''
    headline: str = ''
    extra: dict = dataclasses.field(default_factory=dict)

    def scalars(self) -> dict:
        """What MMagic's evaluator prints: the value, its bounds, scalar extras."""
        found = {self.key: self.value}
        for name, value in dict(low=self.low, high=self.high, **self.extra).items():
            if value is not None and not isinstance(value, list | dict):
                found[f'{self.key}_{name}'] = value
        return found


def number(value: float | None, digits: int = 4) -> str:
    """A number for people: 'n/a' for what is not a number.

    Example:
        >>> number(1 / 3), number(1 / 3, 2), number(None), number(math.inf)
        ('0.3333', '0.33', 'n/a', 'inf')
    """
    if value is None or not math.isfinite(value):
        return 'n/a' if value is None or math.isnan(value) else str(value)
    return f'{value:.{digits}f}'


def measured(record: dict) -> str:
    """The value of a record with its unit.

    Example:
        >>> measured(dict(value=20.5, unit='dB')), measured(dict(value=0.5, unit=''))
        ('20.5000 dB', '0.5000')
    """
    return f'{number(record["value"])} {record["unit"]}'.strip()


def interval(record: dict) -> str:
    """[low, high], or nothing.

    Example:
        >>> interval(dict(low=0.1, high=0.2)), interval(dict(low=None, high=None))
        ('[0.1000, 0.2000]', '')
    """
    if record.get('low') is None:
        return ''
    return f'[{number(record["low"])}, {number(record["high"])}]'


def notes(record: dict) -> str:
    """Verdict, ceiling, floor: what has to stand beside the number.

    Example:
        >>> notes(dict(extra=dict(verdict='ok', floor=0.0)))
        'ok; floor 0.0000'
        >>> notes(dict(extra=dict(references={'perfect sampler': 0.5})))
        'perfect sampler 0.5000'
    """
    extra = record['extra']
    found = [
        f'{key} {number(extra[key])}'
        for key in ('ceiling', 'floor')
        if extra.get(key) is not None
    ]
    known = extra.get('references') or {}
    found += [f'{name} {number(value)}' for name, value in known.items()]
    return '; '.join([extra['verdict'], *found] if 'verdict' in extra else found)


def made(record: dict, separator: str = ' | ') -> str:
    """How a record was made: group, protocol, network, range, inputs, K."""
    network = [] if record['network'] == 'none' else [record['network']]
    counts = f'{record["inputs"]} inputs, K={record["samples"]}'
    parts = [record['group'], record['protocol'], *network, record['range'], counts]
    return separator.join(parts)


def by_making(records: list[dict], separator: str = ' | ') -> dict[str, list[dict]]:
    """Records under the line that says how they were made, in their order."""
    blocks: dict[str, list[dict]] = {}
    for record in records:
        blocks.setdefault(made(record, separator), []).append(record)
    return blocks
