"""Several runs side by side as one HTML file: sortable, with the collages.

The template `page.html` holds all markup. Jinja2 escapes whatever is put into it, so
that a result from someone else is text on the page and nothing more.
"""

import base64
import io
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from mmagic_mr.metrics.record import by_making, interval, measured, notes
from mmagic_mr.reports.figures import figures
from mmagic_mr.reports.results import collage_files
from mmagic_mr.reports.table import made_with, make_table, paper_table

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals.update(measured=measured, interval=interval, notes=notes)
LARGE = 500_000  # bytes; a picture above it becomes a JPEG, for phones


def html_page(
    runs: list[dict],
    folders: list[Path],
    realism: dict | None = None,
    paper: str | None = None,
) -> str:
    """The main table, the paper's, and all of each run; no outside resource.

    Args:
        runs: results of `read_run`.
        folders: of each run's file, where its collages are.
        realism: see `make_table`.
        paper: one of `TABLE_1`, to stand below.

    Raises:
        UserError: see `make_table` and `collage_files`.
    """
    return TEMPLATES.get_template('page.html').render(
        table=make_table(runs, realism),
        paper=paper,
        paper_table=paper_table(paper) if paper else None,
        runs=[_view(run, folder) for run, folder in zip(runs, folders, strict=True)],
    )


def _view(run, folder):
    """What the template shows of one run."""
    return dict(
        method=run['method'],
        pictures=[data_uri(file) for file in collage_files(run, folder)],
        figures=figures(run['records']),
        blocks=by_making(run['records'], ' · '),
        made_with=made_with(run),
        config=run['config']['text'],
    )


def data_uri(file: Path) -> str:
    """A picture as a data URI; a large one as JPEG."""
    data = file.read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        kind = image.get_format_mimetype()
        if len(data) > LARGE:
            buffer = io.BytesIO()
            image.convert('RGB').save(buffer, 'JPEG', quality=88)
            data, kind = buffer.getvalue(), 'image/jpeg'
    return f'data:{kind};base64,{base64.b64encode(data).decode()}'
