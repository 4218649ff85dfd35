"""Samples of one image as files."""

from pathlib import Path

import numpy as np
from torch import Tensor, nn

from mmagic_mr.reports.collage import collage, save_picture


def write_samples(
    model: nn.Module, output, folder: str | Path, name: str, mean: bool = False
) -> Path:
    """Writes ``FOLDER/NAME/000.png`` and so on, and their collage ``FOLDER/NAME.png``.

    Args:
        model: says which fields are input and ground truth.
        output: from `mmagic_mr.inference.draw`.
        folder: where to write.
        name: of the image.
        mean: also ``FOLDER/NAME/mean.png``.

    Returns:
        The file of the collage.
    """
    if mean:
        save_picture(to_rgb(output.sample_mean), Path(folder, name, 'mean.png'))
    for k, picture in enumerate(to_rgb(output.samples)):
        save_picture(picture, Path(folder, name, f'{k:03d}.png'))
    picture = collage(
        {'': [output]},
        model.input_field,
        model.target_field,
        len(output.samples),
        samples_below=True,
        leave_out=True,
    )
    path = Path(folder, f'{name}.png')
    save_picture(picture, path)
    return path


def to_rgb(images: Tensor) -> np.ndarray:
    """Images (...,C,H,W) in 0..255, BGR, as a uint8 RGB array (...,H,W,C)."""
    rounded = images.round().clamp(0, 255).byte().flip(-3)
    return rounded.movedim(-3, -1).numpy()
