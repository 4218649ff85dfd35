"""What was drawn: samples and their statistics, pictures of them, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import Tensor

from mmagic_mr.apis import walks
from mmagic_mr.checks import Count, check_kind
from mmagic_mr.errors import UserError
from mmagic_mr.reports.collage import collage
from mmagic_mr.reports.samples import to_rgb, write_samples
from mmagic_mr.reports.uncertainty import FORMATS, save_map

if TYPE_CHECKING:
    from mmagic_mr.apis.drawing import Drawer
    from mmagic_mr.inference import Input


class Moments(NamedTuple):
    """What a predictor says of the possible outputs, (3, H, W) each."""

    mean: Tensor
    std: Tensor


@dataclass(frozen=True, eq=False)
class Samples:
    """K samples of one image. Images are RGB, from 0 to 1, on the CPU.

    Attributes:
        name: Of the image: its file's, without suffix.
        output: What ``test_step`` gives: the same and more, in 0..255 and BGR.
        z: The noise, by site, (K, channels, h, w) each; for `draw_samples`.

    Example:
        >>> drawn = draw_samples(model, 'label.png', 8)  # doctest: +SKIP
        >>> drawn.interpolate(0, 3, steps=5).collage()  # doctest: +SKIP
        >>> drawn.near(3, distance=0.2).save('like_number_3')  # doctest: +SKIP
    """

    name: str
    output: object
    z: Mapping[str, Tensor]
    source: Input
    drawer: Drawer

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def samples(self) -> Tensor:
        """(K, 3, H, W)."""
        return _image(self.output.samples)

    @property
    def mean(self) -> Tensor:
        """Of the samples, (3, H, W)."""
        return _image(self.output.sample_mean)

    @property
    def std(self) -> Tensor:
        """Standard deviation of the samples at each value, unbiased, (3, H, W).

        Raises:
            UserError: there is one sample alone.
        """
        if 'sample_var' not in self.output:
            raise UserError(
                'one sample has no standard deviation: draw 2 or more '
                '(num_samples, --num-samples)'
            )
        return _deviation(self.output.sample_var)

    @property
    def uncertainty(self) -> np.ndarray:
        """`std`, one number a pixel: the root of the channels' mean square, (H, W)."""
        return self.std.square().mean(0).sqrt().numpy()

    @property
    def predicted(self) -> Moments:
        """What the predictor says.

        Raises:
            UserError: the model has none.
        """
        if 'pred_mean' not in self.output:
            name = type(self.drawer.model).__name__
            raise UserError(
                f'this {name} has no predictor: a model that is trained by a proxy '
                'loss (ProxyMRLoss) has one, or one with predictor=dict(...)'
            )
        return Moments(_image(self.output.pred_mean), _deviation(self.output.pred_var))

    @property
    def input(self) -> Tensor:
        """The image that it was drawn for, as the model sees it, (3, h, w)."""
        return _image(self.output.get(self.drawer.model.input_field))

    @property
    def target(self) -> Tensor | None:
        """The ground truth; None: there is none. (3, H, W)."""
        value = self.output.get(self.drawer.model.target_field)
        return None if value is None else _image(value)

    def pictures(self) -> np.ndarray:
        """The samples as 8-bit RGB pictures, (K, H, W, 3)."""
        return to_rgb(self.output.samples)

    def collage(self, cell: int = 96) -> np.ndarray:
        """Input, means, variances and samples in one RGB picture (H, W, 3), uint8.

        Args:
            cell: Least side of a picture in it.
        """
        return _collage(self.drawer.model, [self], cell)

    def save(
        self, folder: str | Path, name: str | None = None, maps: Sequence[str] = ()
    ) -> Path:
        """Write ``FOLDER/NAME/000.png`` and so on, and the collage ``FOLDER/NAME.png``.

        Args:
            folder: Is made.
            name: None: that of the image.
            maps: How to write the standard deviation as well, ``FOLDER/NAME/std.*``:
                of 'png' (colors, with a legend), 'tiff' and 'npy' (float32, one number
                a pixel, of values from 0 to 1). The mean goes to ``mean.png``.

        Returns:
            The collage.

        Raises:
            UserError: maps of one sample alone, or in an unknown format.
        """
        check_kind('maps', maps, Sequence[str])
        unknown = [kind for kind in maps if kind not in FORMATS]
        if unknown:
            raise UserError(f'maps are {", ".join(FORMATS)}, not {unknown[0]!r}')
        level = self.uncertainty if maps else None
        name = name or self.name
        path = write_samples(self.drawer.model, self.output, folder, name, bool(maps))
        for kind in maps:
            save_map(level, Path(folder, name, f'std.{kind}'))
        return path

    # -- neighbors -------------------------------------------------------------------

    def interpolate(self, a: int, b: int, steps: int = 8) -> Samples:
        """The way from sample a to sample b, both included, in the space of the noise.

        Args:
            a: Index of a sample, from 0.
            b: Likewise.
            steps: How many samples, at least 2.

        Raises:
            UserError: there is no such sample, or no way of fewer than 2 steps.
        """
        check_kind('steps', steps, Count)
        if steps < 2:
            raise UserError('a way has two ends: steps must be at least 2, got 1')
        self._check_index(a, b)
        types = walks.noise_types(self.drawer.model)
        z = walks.between(self.z, a, b, steps, types)
        return self._drawn(f'{self.name}_{a}_to_{b}', z, steps)

    def near(
        self,
        index: int,
        num_samples: int = 8,
        distance: float = 0.3,
        seed: int = 0,
        temperature: float = 1.0,
    ) -> Samples:
        """More samples like one of these: their noise is near its noise.

        Args:
            index: Of the sample, from 0.
            num_samples: How many.
            distance: From 0, the same, to 1, no relation. See `walks.near`.
            seed: Of what is added.
            temperature: That these were drawn with.

        Raises:
            UserError: there is no such sample; a distance that is not from 0 to 1.
        """
        check_kind('num_samples', num_samples, Count)
        check_kind('seed', seed, int)
        check_kind('distance', distance, float)
        if not 0 <= distance <= 1:
            raise UserError(f'distance must be from 0 to 1, got {distance}')
        self._check_index(index)
        types = walks.noise_types(self.drawer.model)
        z = walks.near(self.z, index, num_samples, distance, seed, types, temperature)
        return self._drawn(f'{self.name}_near_{index}', z, num_samples)

    def _drawn(self, name, z, num_samples) -> Samples:
        (drawn,) = self.drawer.draw([(name, self.source)], num_samples, z=z)
        return drawn

    def _check_index(self, *indices: int) -> None:
        if not self.z:
            raise UserError(
                f'this {type(self.drawer.model).__name__} has no noise, and so one '
                'output for an input: there is nothing near it or between'
            )
        for index in indices:
            check_kind('index', index, int)
            if not 0 <= index < len(self):
                raise UserError(
                    f'no sample {index}: there are {len(self)}, from 0 to '
                    f'{len(self) - 1}'
                )


class SampleSet(tuple[Samples, ...]):
    """Samples of several images: a tuple of `Samples`."""

    def collage(self, cell: int = 96) -> np.ndarray:
        """One row for each image; RGB (H, W, 3), uint8."""
        return _collage(self[0].drawer.model, self, cell, below=False)

    def save(self, folder: str | Path, maps: Sequence[str] = ()) -> list[Path]:
        """`Samples.save` of each, and its result."""
        return [drawn.save(folder, maps=maps) for drawn in self]


def _collage(model, drawn: Sequence[Samples], cell: int, below: bool = True):
    return collage(
        {'': [one.output for one in drawn]},
        model.input_field,
        model.target_field,
        max(map(len, drawn)),
        cell,
        samples_below=below,
        leave_out=True,
    )


def _image(value: Tensor) -> Tensor:
    """BGR in 0..255 to RGB in 0..1."""
    return value.float().flip(-3) / 255


def _deviation(variance: Tensor) -> Tensor:
    return variance.float().clamp(min=0).sqrt().flip(-3) / 255
