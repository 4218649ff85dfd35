"""Histograms and curves of a run, as what an SVG needs: numbers in its units."""

import math

from mmagic_mr.metrics.record import number

# What stands above the figures of a kind
RANKS = (
    'Rank of the held-out target among the samples (flat: calibrated; high at both '
    'ends: too little spread)'
)
PIT = 'The same in ten bins, whatever K: probability integral transform of the target'
COVERAGE = (
    'Coverage over its level (dashed: an exact sampler; intervals below it: too '
    'little spread)'
)
AVERAGES = 'Mean of more and more samples against the held-out target'
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 8, 16  # margins of a curve, for its numbers


def figures(records: list[dict]) -> dict[str, list[dict]]:
    """Figures of a run's records under the words above them.

    Args:
        records: of `read_run`.

    Returns:
        Each figure has a caption, and either `rects` or `curves`, see `bars`, `plot`.
    """
    found: dict[str, list[dict]] = {RANKS: [], PIT: [], COVERAGE: [], AVERAGES: []}
    for record in records:
        extra, protocol = record['extra'], record['protocol']
        for name, words in ('ranks', RANKS), ('pit', PIT):
            if extra.get(name):
                found[words].append(dict(caption=protocol, **bars(extra[name])))
        if 'curve' in extra:
            curve = extra['curve']
            words = COVERAGE if 'due' in curve else AVERAGES
            caption = f'{curve["title"]}; {protocol}'
            found[words].append(dict(caption=caption, **plot(curve)))
    return {words: some for words, some in found.items() if some}


def bars(shares: list[float], width: int = 220, height: int = 70) -> dict:
    """Rectangles of a rank histogram.

    Args:
        shares: share of each rank; they sum to 1.
        width, height: of the drawing.

    Returns:
        `rects`, (x, y, width, height) of each; `due`, the height at which all of them
        would end if the histogram were flat; `width` and `height`.

    Example:
        >>> bars([0.5, 0.5], width=20, height=10)['due']
        5.0
    """
    step, top = width / len(shares), max(*shares, 2 / len(shares))
    return dict(
        width=width,
        height=height,
        due=height * (1 - 1 / len(shares) / top),
        rects=[
            (i * step, height * (1 - share / top), step * 0.9, height * share / top)
            for i, share in enumerate(shares)
        ],
    )


def plot(curve: dict, width: int = 220, height: int = 130) -> dict:
    """Lines of a curve, and what it should be.

    Args:
        curve: `x`, rising, and `y`; `due`, the y of an exact sampler, and `doubling`,
            for an x of which each step is the double, where there are any.
        width, height: of the drawing.

    Returns:
        `curves`, pairs of class and points, as a polyline takes them; `texts`, (x, y,
        anchor, text) at the ends of the axes; `width` and `height`.

    Example:
        >>> plot(dict(title='', x=[0, 1], y=[2, 3]), 58, 34)['curves']
        [('found', '40.0,18.0 50.0,8.0')]
    """
    lines = {name: curve[name] for name in ('due', 'y') if name in curve}
    values = [value for line in lines.values() for value in line]
    across = [math.log2(x) if curve.get('doubling') else x for x in curve['x']]
    right, bottom = width - RIGHT, height - BOTTOM
    xs = _scaled(across, across, LEFT, right)
    names = dict(due='due', y='found')
    return dict(
        width=width,
        height=height,
        curves=[
            (
                names[name],
                ' '.join(
                    f'{x:.1f},{y:.1f}'
                    for x, y in zip(xs, _scaled(line, values, bottom, TOP), strict=True)
                ),
            )
            for name, line in lines.items()
        ],
        texts=[
            (LEFT - 4, TOP + 8, 'end', _short(max(values))),
            (LEFT - 4, bottom, 'end', _short(min(values))),
            (LEFT, height - 4, 'start', _short(curve['x'][0])),
            (right, height - 4, 'end', _short(curve['x'][-1])),
        ],
    )


def _scaled(values, among, start, end):
    """From the least and the largest of some to start and end; the middle if alike."""
    low, high = min(among) / 2, max(among) / 2  # halves: no difference is too large
    if high == low:
        return [(start + end) / 2] * len(values)
    return [start + (end - start) * (v / 2 - low) / (high - low) for v in values]


def _short(value):
    """Three or four digits."""
    if value == int(value) and abs(value) < 1e4:
        return str(int(value))
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return number(value, min(digits, 3)) if abs(value) < 1e4 else f'{value:.0e}'
