"""The explorer's page: where things stand, and which action each of them starts."""

from pathlib import Path

import gradio as gr

from mmagic_mr.apps import explorer as explore
from mmagic_mr.apps.actions import Actions
from mmagic_mr.apps.explorer import Explorer

HERE = Path(__file__).parent
# Those of the person's machine: others would be asked for elsewhere.
FONT, MONO = map(gr.themes.Font, ('system-ui', 'monospace'))
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
        self.explorer = explorer
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
        self._connect(page, Actions(explorer, folder))

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
            [explore.enlarged(e.picture, 96) for e in self.explorer.examples],
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

    def _connect(self, page: gr.Blocks, do: Actions):
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
        self.upload.upload(do.take, self.upload, taken)
        self.upload.clear(do.forget, None, taken[1:])
        self.examples.select(do.take_example, None, taken)
        draw = dict(fn=do.draw, inputs=asked, outputs=shown)
        walk = dict(fn=do.walk, inputs=pair, outputs=self.way)
        # After the way, and of the position as it is then: the slider may have moved
        pick = dict(
            fn=do.pick,
            inputs=[self.way, self.position],
            outputs=self.between,
            show_progress='hidden',
        )
        hole = dict(fn=do.same, inputs=self.mask, outputs=self.mask, js=HOLE_NOW)
        asks = [self.draw_button.click, self.seed.submit]
        gr.on(asks, **hole).then(**draw).success(**walk).success(**pick)
        seed = self.anew.click(do.another_seed, None, self.seed)
        seed.then(**hole).then(**draw).success(**walk).success(**pick)
        ends = [self.first.change, self.second.change, self.model.change]
        gr.on(ends, **walk).success(**pick)
        self.position.change(**pick)
        self.near_button.click(
            do.more,
            [self.drawn, self.model, self.first, self.distance, *settings[1:]],
            self.near,
        )
        for name, gallery in zip(self.names, self.galleries, strict=True):
            gallery.select(do.chosen(name), None, [self.model, self.first])
        if self.explorer.examples:
            first = page.load(do.begin, None, taken)
            if not self.explorer.inpaints:  # there, a person paints before
                first.then(**draw).success(**walk).success(**pick)
