"""The numbers of a study against one that stands in the names of its runs."""

import re
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, stdev

from mmagic_mr.errors import UserError
from mmagic_mr.reports.plotting import pyplot, save_figure

Rows = Mapping[str, Mapping[int, float]]  # column -> seed -> value


def place_of(name: str, along: str) -> float:
    """The number in a run's name.

    Raises:
        UserError: There is none.

    Example:
        >>> place_of('CRPS/K = 6', 'K')
        6.0
    """
    found = re.search(rf'\b{re.escape(along)} = ([\d.]+)$', name)
    if found is None:
        raise UserError(
            f'along={along!r}: the run {name!r} must end with "{along} = NUMBER"'
        )
    return float(found[1])


def draw_along(
    table: Mapping[str, Rows], columns: Mapping[str, str], along: str, file: Path
) -> None:
    """A panel for each column, a line for each group, bars of one standard deviation.

    Args:
        table: By the name of the run, ``GROUP/... = NUMBER``.
        columns: Key -> what stands above its panel.
        along: What the number is called, in the names and below the panels.
        file: Of the picture.
    """
    plt = pyplot()
    across = 3
    down = -(-len(columns) // across)
    figure, grid = plt.subplots(down, across, figsize=(12, 3.2 * down), squeeze=False)
    panels = dict(zip(columns, grid.flat, strict=False))
    lines: dict[str, dict[str, Rows]] = {}
    for name, rows in table.items():
        lines.setdefault(name.rpartition('/')[0], {})[name] = rows
    for group, runs in lines.items():
        for key, panel in panels.items():
            places = {
                place_of(name, along): rows.get(key) for name, rows in runs.items()
            }
            there = {x: list(values.values()) for x, values in places.items() if values}
            bars = [stdev(v) if len(v) > 1 else 0.0 for v in there.values()]
            heights = [mean(v) for v in there.values()]
            panel.errorbar(
                list(there), heights, bars, marker='o', capsize=2, label=group
            )
    ticks = sorted({place_of(name, along) for name in table})
    for key, panel in panels.items():
        panel.set_title(columns[key], fontsize=9)
        panel.set_xscale('log')
        panel.set_xticks(ticks, [f'{x:g}' for x in ticks])
        panel.minorticks_off()
        panel.set_xlabel(along)
    for panel in grid.flat[len(columns) :]:
        panel.axis('off')
    figure.tight_layout()
    names = grid.flat[0].get_legend_handles_labels()
    figure.legend(
        *names, loc='upper center', bbox_to_anchor=(0.5, 0.0), ncols=len(lines)
    )
    save_figure(figure, file)
