"""What the explorer does, without its page: models, pictures, samples, files."""

import base64
import io
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from mmagic_mr.apis import Samples, draw_samples, load_model
from mmagic_mr.apis.drawing import Drawer
from mmagic_mr.data import pictures
from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.inference import Input
from mmagic_mr.reports.samples import to_rgb
from mmagic_mr.reports.uncertainty import FORMATS, scale_of, uncertainty_picture

STEPS = 21  # on the way from one sample to another
EXAMPLES = 8
FEW_COLORS = 64  # a picture of no more is a label map


@dataclass(frozen=True)
class Example:
    """A picture of the data set; in inpainting with the hole that it has there."""

    picture: Image.Image
    hole: np.ndarray | None = None  # (H, W), bool


@dataclass
class Explorer:
    """Models of one kind, side by side.

    Attributes:
        models: By name; they take the same inputs.
        examples: Pictures to begin with; none where the data set is not there.
    """

    models: dict[str, nn.Module]
    examples: list[Example] = field(default_factory=list)

    def __post_init__(self):
        kinds = {
            (model.input_field, type(model.image_input)): name
            for name, model in self.models.items()
        }
        if len(kinds) > 1:
            one, other = list(kinds.values())[:2]
            raise UserError(
                f'{one} and {other} take different inputs, and are not to be seen side '
                'by side: start an explorer for each'
            )

    @property
    def inpaints(self) -> bool:
        """Whether an input is an image and a hole."""
        return any(m.image_input.takes_mask for m in self.models.values())

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the pictures of the data set; None: not known."""
        return self.examples[0].picture.size if self.examples else None

    def read(self, path: str | Path) -> tuple[Image.Image, str]:
        """A user's picture, of the size of the data set's, and what was done to it.

        Raises:
            UserError: it is no readable picture.
        """
        picture = pictures.read_rgb(path)
        if self.size is None or picture.size == self.size:
            return picture, f'{picture.width} x {picture.height} pixels'
        fitted = fit(picture, self.size)
        return fitted, (
            f'cut and resized from {picture.width} x {picture.height} pixels to '
            f'{fitted.width} x {fitted.height}, the size of the data set'
        )

    def draw(
        self,
        picture: Image.Image,
        hole: np.ndarray | None,
        names: Sequence[str],
        num_samples: int,
        seed: int,
        temperature: float,
    ) -> dict[str, Samples]:
        """Samples of the models of these names; arguments as for `draw_samples`."""
        if self.inpaints and (hole is None or not hole.any()):
            raise UserError('paint a hole first: the models fill it')
        mask = hole if self.inpaints else None
        return {
            name: draw_samples(
                self.models[name],
                picture,
                num_samples,
                seed,
                temperature=temperature,
                masks=mask,
            )
            for name in names
        }


def fit(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The middle of a picture, of the proportions of a size, in that size.

    Label maps keep their colors: pixels are taken, and not mixed.

    Example:
        >>> fit(Image.new('RGB', (300, 100)), (32, 32)).size
        (32, 32)
    """
    factor = min(picture.width / size[0], picture.height / size[1])
    width, height = round(size[0] * factor), round(size[1] * factor)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    middle = picture.crop((left, top, left + width, top + height))
    labels = middle.getcolors(FEW_COLORS) is not None
    return pictures.resize(middle, *size, labels=labels)


def open_runs(
    source: str | Path,
    checkpoint: str | Path | None = None,
    others: Sequence[str | Path] = (),
    device: str | None = None,
) -> Explorer:
    """An explorer of runs.

    Args:
        source: Folder of a run, folder of several, or a config.
        checkpoint: For a config, see `load_model`.
        others: Folders of further runs.
        device: As for torch.

    Raises:
        UserError: as `load_model`; the runs take different inputs.
    """
    runs = [*runs_in(source), *(run for other in others for run in runs_in(other))]
    if checkpoint is not None:
        runs = [source, *runs[len(runs_in(source)) :]]
    models = {}
    for run in runs:
        name = Path(run).absolute().stem
        while name in models:
            name += "'"
        given = checkpoint if run is source else None
        models[name] = load_model(run, given, device)
    return Explorer(models, examples_of(next(iter(models.values()))))


def runs_in(source: str | Path) -> list[str | Path]:
    """The folders of runs in a folder that is none itself; else what it is.

    Raises:
        MissingFileError: it is a folder, no run, and has none.
    """
    path = Path(source)
    if not path.is_dir() or any(path.glob('*/vis_data/config.py')):
        return [source]
    found = sorted(
        run
        for run in path.iterdir()
        if any(run.glob('*/vis_data/config.py')) and any(run.glob('*.pth'))
    )
    if not found:
        raise MissingFileError(
            f'{path} is no folder of a run, and has none with a checkpoint in it'
        )
    return list(found)


def examples_of(model: nn.Module, count: int = EXAMPLES) -> list[Example]:
    """Inputs spread over the test set of a config; none where it is not there."""
    from mmagic_mr.host import DATASETS

    loaders = model.cfg.test_dataloader
    loader = loaders[0] if isinstance(loaders, list | tuple) else loaders
    if 'type' not in loader.dataset:
        return []
    try:
        dataset = DATASETS.build(loader.dataset)
    except UserError as error:
        print(f'no examples to begin with: {error}')
        return []
    places = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)
    drawer = Drawer(model)
    return [_example(drawer, dataset[int(place)]) for place in places]


def _example(drawer: Drawer, item: dict) -> Example:
    # Drawn for, so that the host says what of it is the picture, in which colors.
    (drawn,) = drawer.draw([('', Input(item, has_target=True))], 1, seed=0)
    inpaints = drawer.model.image_input.takes_mask
    shown = drawn.target if inpaints else drawn.input  # that before it had a hole
    pixels = (shown * 255).round().byte().permute(1, 2, 0).numpy()
    hole = drawn.output.mask[0].numpy() > 0 if inpaints else None
    return Example(Image.fromarray(pixels), hole)


# -- what is shown -------------------------------------------------------------------


def enlarged(picture: np.ndarray | Image.Image, side: int = 192) -> Image.Image:
    """A small picture, by a whole factor, pixel by pixel; a large one as it is.

    Example:
        >>> enlarged(Image.new('RGB', (32, 16)), 64).size
        (64, 32)
    """
    pixels = np.asarray(picture)
    factor = max(1, -(-side // max(pixels.shape[:2])))
    return Image.fromarray(pixels.repeat(factor, 0).repeat(factor, 1))


def gallery(drawn: Samples) -> list[tuple[Image.Image, str]]:
    """The samples with their numbers, from 1."""
    return [(enlarged(p), str(k + 1)) for k, p in enumerate(drawn.pictures())]


def statistics(drawn: Mapping[str, Samples]) -> dict[str, tuple]:
    """Mean and map of the standard deviation of each, the maps in one scale of colors.

    One sample alone has no deviation: None.
    """
    levels = {name: d.uncertainty for name, d in drawn.items() if len(d) > 1}
    top = scale_of(*levels.values()) if levels else None
    return {
        name: (
            enlarged(to_rgb(d.output.sample_mean)),
            Image.fromarray(uncertainty_picture(levels[name], top))
            if name in levels
            else None,
        )
        for name, d in drawn.items()
    }


def archive(drawn: Mapping[str, Samples], folder: str | Path) -> str:
    """All that was drawn as files in one ZIP file, in a folder."""
    path = Path(tempfile.mkdtemp(dir=folder), 'samples.zip')
    with (
        tempfile.TemporaryDirectory() as files,
        zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as target,
    ):
        for name, one in drawn.items():
            one.save(files, name, maps=FORMATS if len(one) > 1 else ())
        for file in sorted(Path(files).rglob('*.*')):
            target.write(file, file.relative_to(files))
    return str(path)


def data_url(picture: Image.Image) -> str:
    """A picture as the address of itself, PNG."""
    content = io.BytesIO()
    picture.save(content, 'PNG')
    return f'data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}'


def hole_of(url: str, size: tuple[int, int]) -> np.ndarray:
    """The hole that the page sends: white on black, (H, W), bool.

    Raises:
        UserError: it is no picture of this size (width, height).
    """
    try:
        content = base64.b64decode(url.split(',', 1)[1], validate=True)
        mask = Image.open(io.BytesIO(content), formats=['PNG'])
        if mask.size != size:
            raise ValueError(f'{mask.size} and not {size}')
        return np.asarray(mask.convert('L')) > 127
    except (ValueError, IndexError, OSError, SyntaxError) as error:
        raise UserError(f'the hole is no picture ({error}): reload the page') from error
