"""What the page's buttons do. A mistake of the user is said on the page."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr
from PIL import Image

from mmagic_mr.apps import explorer as explore
from mmagic_mr.apps.explorer import Explorer
from mmagic_mr.errors import UserError

HOLE = """
<div class="hole-box" data-src="{src}" data-hole="{hole}">
  <p>Paint the hole: what is white is filled anew.</p>
  <div class="hole-stage"><img alt="the picture"><canvas></canvas></div>
  <div class="hole-tools"><label>Brush <input type="range" min="2" max="40" value="14">
  </label><button type="button">Clear</button></div>
</div>
"""


@contextmanager
def said() -> Iterator[None]:
    """What a user did wrong is said on the page."""
    try:
        yield
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from error


class Actions:
    """Handlers of events: values of the page's parts in, values of others out.

    Args:
        explorer: Its models.
        folder: Where files to download are written.
    """

    def __init__(self, explorer: Explorer, folder: str):
        self.explorer, self.folder = explorer, folder
        self.names = list(explorer.models)

    def take(self, path):
        """A picture that was uploaded."""
        try:
            picture, note = self.explorer.read(path)
        except UserError as error:
            words = str(error).replace(str(path), Path(path).name)
            gr.Warning(words)
            return None, None, f'**{words}**', ''
        return path, picture, note, self._hole_for(picture)

    def forget(self):
        """The picture was taken away."""
        return None, '', ''

    def begin(self):
        """The page opens with a picture of the data set."""
        return self._example(0)

    def take_example(self, event: gr.SelectData):
        """A picture of the data set was chosen."""
        return self._example(event.index)

    def _example(self, index):
        example = self.explorer.examples[index]
        hole = None
        if example.hole is not None:
            hole = Image.fromarray(example.hole)
        note = f'{example.picture.width} x {example.picture.height} pixels'
        return (
            explore.enlarged(example.picture),
            example.picture,
            note,
            self._hole_for(example.picture, hole),
        )

    def _hole_for(self, picture, hole=None):
        if not self.explorer.inpaints:
            return ''
        return HOLE.format(
            src=explore.data_url(picture),
            hole='' if hole is None else explore.data_url(hole.convert('RGB')),
        )

    def draw(self, mask, picture, names, count, seed, temperature):
        """Samples of each model that is chosen."""
        if picture is None:
            raise gr.Error('choose a picture first', print_exception=False)
        if not names:
            raise gr.Error('choose a model first', print_exception=False)
        names = [name for name in self.names if name in names]
        with said():
            hole = explore.hole_of(mask, picture.size) if mask else None
            drawn = self.explorer.draw(
                picture, hole, names, int(count), int(seed or 0), temperature
            )
            statistics = explore.statistics(drawn)
            files = explore.archive(drawn, self.folder)
        blank = (None, None)
        return [
            drawn,
            *(gr.update(visible=name in drawn) for name in self.names),
            *(
                explore.gallery(drawn[name]) if name in drawn else None
                for name in self.names
            ),
            *(statistics.get(name, blank)[0] for name in self.names),
            *(statistics.get(name, blank)[1] for name in self.names),
            gr.update(value=files, interactive=True),
            f'{count} samples, seed {int(seed or 0)}, temperature {temperature:g}',
        ]

    def walk(self, drawn, name, first, second):
        """All pictures of the way from one sample to another."""
        if name not in drawn or len(drawn[name]) < 2 or not drawn[name].z:
            return []
        ends = [_index(drawn[name], number) for number in (first, second)]
        with said():
            way = drawn[name].interpolate(*ends, explore.STEPS)
        return [explore.enlarged(picture) for picture in way.pictures()]

    def pick(self, way, position):
        """The picture that the slider is at."""
        return way[int(position)] if way else None

    def more(self, drawn, name, first, distance, count, seed, temperature):
        """Samples near one."""
        if name not in drawn:
            raise gr.Error('draw samples first', print_exception=False)
        index = _index(drawn[name], first)
        with said():
            near = drawn[name].near(
                index, int(count), float(distance), int(seed or 0), temperature
            )
        return explore.gallery(near)

    @staticmethod
    def chosen(name):
        """Handler of a click on a sample of this model."""

        def choose(event: gr.SelectData):
            return name, event.index + 1

        return choose

    @staticmethod
    def same(value):
        """Of a value that the page's script has made."""
        return value

    @staticmethod
    def another_seed():
        """Any."""
        return random.SystemRandom().randrange(1_000_000)


def _index(drawn, number) -> int:
    """Of the sample that has this number on the page, from 1."""
    if not 1 <= (number or 0) <= len(drawn):
        raise gr.Error(
            f'there is no sample {number}: they are 1 to {len(drawn)}',
            print_exception=False,
        )
    return int(number) - 1
