"""Pictures of many samples per input, laid out as in the paper.

input | ground truth | predicted mean | sample mean | predicted variance |
sample variance, and the samples: to the right of these (Figure 6), or below them
(Figures 7 to 10).
"""

from collections.abc import Mapping, Sequence
from itertools import compress
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmagic_mr.errors import UserError
from mmagic_mr.io import atomic_path

# Log dispersion, in the units of values in [-1, 1], that the colors span (paper).
LOG_RANGE = (-6.0, 0.0)
HEADINGS = (
    'input',
    'ground truth',
    'predicted mean',
    'sample mean',
    'predicted var.',
    'sample var.',
)
FIELDS = ('input', 'target', 'pred_mean', 'sample_mean', 'pred_var', 'sample_var')
BACKGROUND, INK, EMPTY = (255, 255, 255), (30, 30, 30), (235, 235, 235)
GAP = 4


def spread_inputs(loader, count: int) -> list:
    """That many inputs of a data loader, spread evenly over its data set.

    Not the first ones: neighbors in a folder are often of one kind.

    Args:
        loader: Of PyTorch; its workers are left alone.
        count: More than there are: all.

    Returns:
        A batch of one input each, new at every call.
    """
    size = len(loader.dataset)
    count = min(count, size)
    chosen = (index * size // count for index in range(count))
    return [loader.collate_fn([loader.dataset[index]]) for index in chosen]


def collage(
    groups: Mapping[str, Sequence],
    input_key: str,
    target_key: str,
    num_samples: int = 8,
    cell: int = 96,
    samples_below: bool = False,
    leave_out: bool = False,
) -> np.ndarray:
    """Draw one row or block per input, and one named group of these per method.

    Args:
        groups: method name -> data samples as ``test_step`` returns them: ``samples``
            (K,C,H,W), and where there are any ``sample_mean``, ``sample_var``,
            ``pred_mean``, ``pred_var`` (C,H,W), 0..255 and BGR, variances in 255^2.
            An empty name draws no title.
        input_key: field of the input: a model's ``input_field``.
        target_key: field of the ground truth: a model's ``target_field``.
        num_samples: samples shown; more than there are leaves the rest out.
        cell: least side of a picture in pixels; smaller ones are enlarged by a whole
            factor, pixel by pixel.
        samples_below: False: an input is one row, the samples at its end. True: it is a
            block six pictures wide, the samples in the rows below the first.
        leave_out: what no input has, as the ground truth of a new picture, takes no
            room. False: every picture has its place, whatever there is.

    Returns:
        RGB picture (H,W,3), uint8.

    Raises:
        UserError: if there is nothing to draw, or a data sample has no ``samples``.

    Example:
        >>> import torch
        >>> one = dict(img_label=torch.zeros(3, 8, 8), img_photo=torch.zeros(3, 8, 8),
        ...            samples=torch.rand(4, 3, 8, 8) * 255)
        >>> collage({'GAN + MR2': [one]}, 'img_label', 'img_photo', cell=16).dtype
        dtype('uint8')
    """
    rows = {
        name: [_row(sample, num_samples, input_key, target_key) for sample in samples]
        for name, samples in groups.items()
    }
    first = next((row for group in rows.values() for row in group), None)
    if first is None:
        raise UserError('no data samples to draw: every group is empty')
    side = first[-1].shape[:2]  # of a sample
    factor = max(1, -(-cell // max(side)))
    headings = _drop_empty(rows) if leave_out else list(HEADINGS)
    widest = max(len(row) for group in rows.values() for row in group)
    columns = len(HEADINGS) if samples_below else widest
    return _draw(
        _lines(rows, headings, columns, samples_below),
        columns,
        height=side[0] * factor,
        width=side[1] * factor,
    )


def log_dispersion_colors(var: np.ndarray, value_range: float = 255.0) -> np.ndarray:
    """Colors of a variance picture: its log over ``LOG_RANGE``, dark to bright.

    The channels' variances are averaged first, so that one number is shown a pixel.

    Args:
        var: variance (C,H,W) in squared units of a picture of ``value_range``.
        value_range: width of the value range that ``var`` is in; the log is taken
            in units of [-1, 1], as in the paper.

    Returns:
        RGB picture (H,W,3), uint8.

    Example:
        >>> one = np.full((3, 1, 1), 127.5 ** 2)  # variance 1 in [-1, 1]: the top
        >>> bool((log_dispersion_colors(one) == color_map()[255]).all())
        True
    """
    low, high = LOG_RANGE
    level = np.log(np.maximum(var.mean(0) / (value_range / 2) ** 2, 1e-12))
    index = np.rint((level - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)
    return color_map()[index]


def color_map() -> np.ndarray:
    """The 256 colors for variances (256,3), uint8: matplotlib's 'inferno'."""
    from matplotlib import colormaps  # slow to import, and light tools read this file

    return (colormaps['inferno'](np.arange(256))[:, :3] * 255).round().astype(np.uint8)


def save_picture(picture: np.ndarray, path: str | Path) -> None:
    """Write an RGB picture (H,W,3), uint8; the folder is made."""
    with atomic_path(path) as unfinished:
        Image.fromarray(picture).save(unfinished)


def _row(sample, num_samples, input_key, target_key):
    """The pictures of one data sample, None where it has none."""
    if sample.get('samples') is None:
        raise UserError(
            "a data sample has no 'samples' (K,C,H,W) to draw, only "
            f'{sorted(sample.keys())}: does the model draw K samples of an input, and '
            'did the sample come from its test_step?'
        )
    names = dict(zip(FIELDS, (input_key, target_key, *FIELDS[2:]), strict=True))
    pictures = [
        _picture(sample.get(names[field]), field.endswith('_var')) for field in FIELDS
    ]
    samples = [_picture(s) for s in sample.get('samples')[:num_samples]]
    return pictures + samples


def _drop_empty(rows):
    """Takes out what no input has, as a predictor's; the headings that are left."""
    every = [row for group in rows.values() for row in group]
    filled = [any(row[k] is not None for row in every) for k in range(len(HEADINGS))]
    for row in every:
        row[: len(HEADINGS)] = list(compress(row, filled))
    return list(compress(HEADINGS, filled))


def _lines(rows, headings, columns, samples_below):
    """From top to bottom: a title, a list of headings, or a list of pictures."""
    first = len(headings)  # so many pictures, then the samples
    if not samples_below:
        headings = [*headings, *(f'sample {k + 1}' for k in range(columns - first))]
    lines = [] if samples_below else [headings]
    for name, group in rows.items():
        lines += [name] if name else []
        for row in group:
            if samples_below:
                lines += [headings, row[:first]]
                row = row[first:]
            lines += [row[k : k + columns] for k in range(0, len(row), columns)]
    return lines


def _draw(lines, columns, height, width):
    """The lines below each other, pictures in cells of that size, and the legend."""
    text = Text(max(9, min(15, width // 8)))
    text_height = text.height + 2 * GAP
    tall = sum(text_height if _is_text(line) else height + GAP for line in lines)
    canvas = Image.new(
        'RGB', (GAP + columns * (width + GAP), tall + text_height), BACKGROUND
    )
    text.draw_on(canvas)
    top = 0
    for line in lines:
        middle = top + text_height // 2
        if isinstance(line, str):
            text.write(line, GAP, middle, anchor='lm')
        else:
            for column, content in enumerate(line):
                left = GAP + column * (width + GAP)
                if _is_text(line):
                    text.write(content, left + width // 2, middle, width)
                else:
                    _fill(canvas, content, (left, top, left + width, top + height))
        top += text_height if _is_text(line) else height + GAP
    _legend(canvas, text, top, text_height)
    return np.asarray(canvas)


def _fill(canvas, picture, box):
    """A picture, as large as its cell; gray where there is none."""
    left, top, right, bottom = box
    if picture is None:
        canvas.paste(EMPTY, box)
    else:
        # A low-resolution input becomes as large as a sample
        size = right - left, bottom - top
        enlarged = Image.fromarray(picture).resize(size, Image.Resampling.NEAREST)
        canvas.paste(enlarged, (left, top))


def _is_text(line):
    """Whether a line of a collage is a title or headings, and not pictures."""
    return isinstance(line, str) or isinstance(line[0], str)


def _picture(value, is_variance=False):
    """BGR tensor or array (C,H,W), 0..255, to an RGB picture; a variance to colors."""
    if value is None:
        return None
    if hasattr(value, 'detach'):
        value = value.detach().float().cpu().numpy()
    value = np.asarray(value, dtype=np.float64)
    if is_variance:
        return log_dispersion_colors(value)
    if value.shape[0] == 1:
        value = value.repeat(3, axis=0)
    rgb = value[::-1].transpose(1, 2, 0)
    return np.ascontiguousarray(np.rint(rgb).clip(0, 255).astype(np.uint8))


def _legend(canvas, text, top, line):
    """The color bar of the variances with its two ends."""
    low, high = LOG_RANGE
    words = f'variances: log over values in [-1, 1]   {low:g}'
    color_bar(canvas, text, top + line // 2, words, f'{high:g}')


def color_bar(canvas, text, middle: int, before: str, after: str, bar: int = 96):
    """The colors of `color_map` from left to right, between two texts.

    Args:
        canvas: Pillow's image to draw on.
        text: A `Text` that draws on it.
        middle: Height of the bar's middle in the image.
        before: What stands to its left, and says what its dark end means.
        after: What stands to its right.
        bar: Its length in pixels.
    """
    text.write(before, GAP, middle, anchor='lm')
    start = GAP + text.width(before) + 2 * GAP
    colors = Image.fromarray(color_map()[None]).resize((bar, text.height))
    canvas.paste(colors, (start, middle - text.height // 2))
    text.write(after, start + bar + 2 * GAP, middle, anchor='lm')


class Text:
    """Pillow's built-in font at one size."""

    def __init__(self, size):
        self.font = ImageFont.load_default(size)
        box = self.font.getbbox('Ag')
        self.height = int(box[3])

    def draw_on(self, canvas):
        self.pen = ImageDraw.Draw(canvas)

    def width(self, words):
        return int(self.font.getlength(words))

    def write(self, words, x, y, room=None, anchor='mm'):
        while room and words and self.width(words) > room:
            words = words[:-1]
        self.pen.text((x, y), words, fill=INK, font=self.font, anchor=anchor)
