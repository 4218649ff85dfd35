"""Transforms of the pipelines: a crop that must fit, and the holes of inpainting."""

from pathlib import Path
from typing import Literal

import numpy as np
from mmcv.transforms import BaseTransform

from mmagic_mr.checks import Count, Level, Natural, checked
from mmagic_mr.data.holes import Rect, draw_hole, fixed_hole, hole_mask
from mmagic_mr.errors import UserError
from mmagic_mr.host import TRANSFORMS, FixedCrop, LoadMask


@TRANSFORMS.register_module()
class StrictCrop(FixedCrop):
    """MMagic's ``FixedCrop``, which refuses an image smaller than the crop.

    FixedCrop returns a smaller crop without a word, and the batch fails to stack.

    Args:
        keys: images that are cropped alike.
        crop_size: height, width in pixels.
        crop_pos: x, y in pixels; None: random; 'center': in the middle.

    Raises:
        UserError: the crop does not fit.
    """

    @checked
    def __init__(
        self,
        keys: list[str],
        crop_size: tuple[Count, Count],
        crop_pos: tuple[Natural, Natural] | Literal['center'] | None = None,
    ):
        self.centered = crop_pos == 'center'
        super().__init__(keys, tuple(crop_size), None if self.centered else crop_pos)

    def transform(self, results):
        height, width = results[self.keys[0]].shape[:2]
        crop_height, crop_width = self.crop_size
        left, top = self.crop_pos or (0, 0)
        if top + crop_height > height or left + crop_width > width:
            raise UserError(
                f'the image of {width}x{height} is smaller than the crop of '
                f'{crop_width}x{crop_height} at x={left}, y={top}'
            )
        if self.centered:
            place = ((width - crop_width) // 2, (height - crop_height) // 2)
            return FixedCrop(self.keys, self.crop_size, place).transform(results)
        return super().transform(results)


@TRANSFORMS.register_module()
class RandomHole(BaseTransform):
    """Adds ``mask`` (H, W, 1), 1 in a random rectangle, and its box ``mask_bbox``.

    The box (top, left, height, width) is what the local discriminator sees; MMagic's
    ``extract_around_bbox`` with a local size of ``box_size`` returns just it.

    Args:
        box_size: side of the box, in pixels; it lies anywhere in the image.
        sides: shortest and longest side of the hole, in pixels; drawn independently.
        img_key: image whose size counts.
        seed: the same hole for an image each time, by its name; None: a new one.

    Raises:
        UserError: the box does not fit into the image, or the hole into the box, or
            a fixed one is asked for in an image that is not square.
    """

    @checked
    def __init__(
        self,
        box_size: Count = 64,
        sides: tuple[Count, Count] = (48, 64),
        img_key: str = 'gt',
        seed: Natural | None = None,
    ):
        self.box_size = box_size
        self.sides = tuple(sides)
        self.img_key = img_key
        self.seed = seed

    def transform(self, results):
        height, width = results[self.img_key].shape[:2]
        box, hole = self._draw(results, height, width)
        results['mask'] = hole_mask(hole, height, width)[..., None]
        results['mask_bbox'] = tuple(box)
        return results

    def _draw(self, results, height, width):
        if self.seed is None:
            # The global generator is the one that mmengine seeds in every worker
            draw = np.random.randint
            return draw_hole(draw, height, width, self.box_size, self.sides)
        if height != width:
            raise UserError(
                f'the image is {width}x{height}, and fixed holes are for squares: crop '
                'it before'
            )
        name = Path(results[f'{self.img_key}_path']).stem
        return fixed_hole(name, self.seed, height, self.box_size, self.sides)


@TRANSFORMS.register_module()
class FixedHole(LoadMask):
    """MMagic's ``LoadMask`` with a mode of its own: one hole for all images.

    Args:
        box: top, left, height, width of the hole, in pixels; it is ``mask_bbox`` too.
        mask_mode: ``'fixed'``; a user's mask, as for ``LoadMask``: ``'file'``.
        img_key: image whose size counts.

    Raises:
        UserError: the hole does not fit into the image.
    """

    @checked
    def __init__(
        self,
        box: tuple[Natural, Natural, Count, Count] = (0, 0, 1, 1),
        mask_mode: str = 'fixed',
        img_key: str = 'gt',
    ):
        super().__init__(mask_mode)
        self.box, self.img_key = Rect(*box), img_key

    def transform(self, results):
        if self.mask_mode != 'fixed':
            return super().transform(results)
        height, width = results[self.img_key].shape[:2]
        top, left, box_height, box_width = self.box
        if top + box_height > height or left + box_width > width:
            raise UserError(
                f'the hole of {box_width}x{box_height} at x={left}, y={top} does not '
                f'fit into the image of {width}x{height}'
            )
        results['mask'] = hole_mask(self.box, height, width)[..., None]
        results['mask_bbox'] = tuple(self.box)
        return results


@TRANSFORMS.register_module()
class FillHole(BaseTransform):
    """``img`` = ``gt`` with the hole filled by one color.

    As MMagic's ``GetMaskedImage``, with a color in place of a gray, and checks. An
    image without ``mask_bbox`` gets the rectangle around its hole.

    Args:
        color: red, green, blue in [0, 255]; the mean of the training set. Default:
            CelebA's, as the authors have it.

    Raises:
        UserError: the mask has no hole, or not the size of the image.
    """

    @checked
    def __init__(self, color: tuple[Level, Level, Level] = (130, 108, 96)):
        self.color = np.asarray(color, dtype=np.float32)

    def transform(self, results):
        image, mask = results['gt'], results['mask']
        if mask.shape[:2] != image.shape[:2]:
            height, width = mask.shape[:2]
            raise UserError(
                f'the mask is {width}x{height}, the image '
                f'{image.shape[1]}x{image.shape[0]}: they must have one size'
            )
        if not mask.any():
            raise UserError('the mask has no hole: it is 0 everywhere')
        order = results.get('gt_channel_order', 'bgr')
        color = self.color if order == 'rgb' else self.color[::-1]
        results['img'] = np.where(mask > 0, color, image).astype(np.float32)
        copy_facts(results, 'gt', 'img')
        results.setdefault('mask_bbox', _around(mask))
        return results


def copy_facts(results: dict, key: str, to: str) -> None:
    """What is known of one image holds for another that was made of it."""
    for name in ('ori_{}_shape', '{}_channel_order', '{}_color_type'):
        if name.format(key) in results:
            results[name.format(to)] = results[name.format(key)]


def _around(mask):
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in ((1, 2), (0, 2)))
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1
