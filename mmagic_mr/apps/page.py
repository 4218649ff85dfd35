"""The explorer's page. What it does is in `explorer.py`; here is where it stands."""

import random
from pathlib import Path

import gradio as gr

from mmagic_mr.apps import explorer as explore
from mmagic_mr.apps.explorer import Explorer
from mmagic_mr.errors import UserError

HERE = Path(__file__).parent
# Those of the person's machine: others would be asked for elsewhere.
FONT, MONO = map(gr.themes.Font, ('system-ui', 'monospace'))
HOLE = """
<div class="hole-box" data-src="{src}" data-hole="{hole}">
  <p>Paint the hole: what is white is filled anew.</p>
  <div class="hole-stage"><img alt="the picture"><canvas></canvas></div>
  <div class="hole-tools"><label>Brush <input type="range" min="2" max="40" value="14">
  </label><button type="button">Clear</button></div>
</div>
"""
HOLE_NOW = '() => window.hole.mask()'
PNG = dict(format='png', interactive=False, show_fullscreen_button=True)


def build(explorer: Explorer, folder: str) -> gr.Blocks:
    """The page.

    Args:
        explorer: Its models.
        folder: Where files to download are written.
    """
    with gr.Blocks(
        title='Samples',
        theme=gr.themes.Default(font=[FONT], font_mono=[MONO]),
        css=(HERE / 'page.css').read_text(),
        head=f'<script>{(HERE / "hole.js").read_text()}</script>',
        analytics_enabled=False,
    ) as page:
        Page(explorer, folder, page)
    return page


class Page:
    """The parts of the page, and what happens when they are touched."""

    def __init__(self, explorer: Explorer, folder: str, page: gr.Blocks):
        self.explorer, self.folder = explorer, folder
        self.names = list(explorer.models)
        self.picture = gr.State()  # PIL image, as it is drawn for
        self.drawn = gr.State({})  # name of the model -> Samples
        self.way = gr.State([])  # pictures from one sample to another
        gr.Markdown('# One picture in, many out', elem_id='title')
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                self._lay_input()
                self._lay_settings()
            with gr.Column(scale=3, min_width=300):
                self._lay_samples()
                self._lay_closer()
        self._connect(page)

    # -- where things stand ----------------------------------------------------------

    def _lay_input(self):
        self.upload = gr.Image(
            label='Picture: drop one here, or choose',
            sources=['upload', 'clipboard'],
            type='filepath',
            image_mode=None,
            height=240,
            elem_id='upload',
        )
        # The file as it was uploaded: ours reads it, and not Gradio.
        self.upload.preprocess = lambda payload: payload and payload.path
        self.note = gr.Markdown(elem_id='note')
        self.examples = gr.Gallery(
            [explore.enlarged(_array(e.picture), 96) for e in self.explorer.examples],
            label='Pictures of the data set',
            columns=4,
            object_fit='contain',
            allow_preview=False,
            format='png',
            interactive=False,
            visible=bool(self.explorer.examples),
            elem_id='examples',
        )
        self.hole = gr.HTML(elem_id='hole', visible=self.explorer.inpaints)
        self.mask = gr.Textbox(visible=False)  # filled by the page's script

    def _lay_settings(self):
        self.chosen = gr.CheckboxGroup(
            self.names,
            value=self.names,
            label='Models',
            visible=len(self.names) > 1,
            elem_id='models',
        )
        self.count = gr.Slider(1, 16, value=8, step=1, label='Samples', elem_id='count')
        with gr.Row():
            self.seed = gr.Number(
                0, label='Seed', precision=0, minimum=0, min_width=90, elem_id='seed'
            )
            self.anew = gr.Button('Another seed', min_width=90, elem_id='anew')
        self.temperature = gr.Slider(
            0.1,
            2,
            value=1,
            step=0.1,
            label='Temperature of the noise',
            elem_id='temperature',
        )
        self.draw_button = gr.Button('Draw', variant='primary', elem_id='draw')
        self.status = gr.Markdown(elem_id='status')

    def _lay_samples(self):
        self.galleries, self.means, self.maps, self.blocks = [], [], [], []
        for i, name in enumerate(self.names):
            with gr.Column() as block:
                gr.Markdown(f'### {name}', visible=len(self.names) > 1)
                with gr.Row(equal_height=False):
                    self.galleries.append(
                        gr.Gallery(
                            label='Samples',
                            columns=4,
                            object_fit='contain',
                            format='png',
                            interactive=False,
                            scale=3,
                            min_width=300,
                            elem_id=f'samples-{i}',
                        )
                    )
                    for images, label, key in (
                        (self.means, 'Mean', 'mean'),
                        (self.maps, 'Std. deviation', 'std'),
                    ):
                        images.append(
                            gr.Image(
                                label=label,
                                elem_id=f'{key}-{i}',
                                scale=1,
                                min_width=140,
                                **PNG,
                            )
                        )
            self.blocks.append(block)
        self.files = gr.DownloadButton(
            'Download all as ZIP', interactive=False, elem_id='files'
        )

    def _lay_closer(self):
        gr.Markdown('## A closer look')
        self.model = gr.Radio(
            self.names,
            value=self.names[0],
            label='Model',
            visible=len(self.names) > 1,
            elem_id='model',
        )
        with gr.Row():
            self.first = gr.Number(
                1, label='Sample', precision=0, minimum=1, elem_id='first'
            )
            self.second = gr.Number(
                2, label='Other sample', precision=0, minimum=1, elem_id='second'
            )
        with gr.Row():
            with gr.Column(min_width=280):
                gr.Markdown('From the sample to the other one')
                self.position = gr.Slider(
                    0, explore.STEPS - 1, value=0, step=1, label='Way', elem_id='way'
                )
                self.between = gr.Image(label='Between', elem_id='between', **PNG)
            with gr.Column(min_width=280):
                gr.Markdown('More like the sample')
                self.distance = gr.Slider(
                    0, 1, value=0.3, step=0.05, label='Distance', elem_id='distance'
                )
                self.near_button = gr.Button('More like this', elem_id='near')
                self.near = gr.Gallery(
                    label='Near it',
                    columns=4,
                    object_fit='contain',
                    format='png',
                    interactive=False,
                    elem_id='near-samples',
                )

    # -- what happens ----------------------------------------------------------------

    def _connect(self, page: gr.Blocks):
        taken = [self.upload, self.picture, self.note, self.hole]
        settings = [self.chosen, self.count, self.seed, self.temperature]
        asked = [self.mask, self.picture, *settings]
        shown = [
            self.drawn,
            *self.blocks,
            *self.galleries,
            *self.means,
            *self.maps,
            self.files,
            self.status,
        ]
        pair = [self.drawn, self.model, self.first, self.second]
        # A picture of a size that no model takes is said to be so by `draw`
        self.upload.upload(self.take, self.upload, taken)
        self.upload.clear(self.forget, None, taken[1:])
        self.examples.select(self.take_example, None, taken)
        draw = dict(fn=self.draw, inputs=asked, outputs=shown)
        walk = dict(
            fn=self.walk,
            inputs=[*pair, self.position],
            outputs=[self.way, self.between],
        )
        hole = dict(fn=_same, inputs=self.mask, outputs=self.mask, js=HOLE_NOW)
        asks = [self.draw_button.click, self.seed.submit]
        gr.on(asks, **hole).then(**draw).success(**walk)
        seed = self.anew.click(_another_seed, None, self.seed)
        seed.then(**hole).then(**draw).success(**walk)
        gr.on([self.first.change, self.second.change, self.model.change], **walk)
        self.position.change(
            self.pick, [self.way, self.position], self.between, show_progress='hidden'
        )
        self.near_button.click(
            self.more,
            [self.drawn, self.model, self.first, self.distance, *settings[1:]],
            self.near,
        )
        for name, gallery in zip(self.names, self.galleries, strict=True):
            gallery.select(
                lambda event, name=name: (name, event.index + 1),
                None,
                [self.model, self.first],
            )
        if self.explorer.examples:
            first = page.load(self.begin, None, taken)
            if not self.explorer.inpaints:  # there, a person paints before
                first.then(**draw).success(**walk)

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
            hole = explore.Image.fromarray(example.hole)
        note = f'{example.picture.width} x {example.picture.height} pixels'
        return (
            explore.enlarged(_array(example.picture)),
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
        with _said():
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

    def walk(self, drawn, name, first, second, position):
        """All pictures of the way, and the one that the slider is at."""
        if name not in drawn or len(drawn[name]) < 2 or not drawn[name].z:
            return [], None
        with _said():
            way = drawn[name].interpolate(
                int(first or 0) - 1, int(second or 0) - 1, explore.STEPS
            )
        pictures = [explore.enlarged(picture) for picture in way.pictures()]
        return pictures, pictures[int(position)]

    def pick(self, way, position):
        """The slider was moved."""
        return way[int(position)] if way else None

    def more(self, drawn, name, first, distance, count, seed, temperature):
        """Samples near one."""
        if name not in drawn:
            raise gr.Error('draw samples first', print_exception=False)
        with _said():
            near = drawn[name].near(
                int(first or 0) - 1,
                int(count),
                float(distance),
                int(seed or 0),
                temperature,
            )
        return explore.gallery(near)


class _said:
    """What a user did wrong is said on the page."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, UserError):
            raise gr.Error(str(error), print_exception=False) from error


def _same(value):
    """Of a value that the page's script has made."""
    return value


def _another_seed():
    return random.SystemRandom().randrange(1_000_000)


def _array(picture):
    return explore.np.asarray(picture)
