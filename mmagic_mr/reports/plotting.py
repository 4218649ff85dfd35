"""What the figures of the documentation are drawn and written with."""

from pathlib import Path


def pyplot():
    """Matplotlib's, for files alone: no window is asked for."""
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot

    return pyplot


def save_figure(figure, file: Path) -> None:
    """Write and close it. The same figure is the same file: no date, no version."""
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110, bbox_inches='tight', metadata={'Software': None})
    pyplot().close(figure)
