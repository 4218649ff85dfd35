"""How an image file becomes an input: each host names one of these as ``image_input``.

The steps are those of the config's test pipeline, so that a file is preprocessed as in
validation; what differs is what a user has: the condition alone, a picture without its
target, or a mask of their own.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import mmcv
import numpy as np

from mmagic_mr.errors import UserError
from mmagic_mr.host import TRANSFORMS

Fields = dict[str, Any]
Steps = list[Callable]


class ImageInput(ABC):
    """What a host's input is made of, from files of a user.

    Attributes:
        takes_mask: A hole belongs to it.
    """

    takes_mask = False

    @abstractmethod
    def fields(
        self,
        model,
        steps: Steps,
        path: str | Path,
        pair: bool = False,
        mask: str | Path | None = None,
    ) -> tuple[Fields, Steps]:
        """What the pipeline starts from, and the steps that are left to do.

        Args:
            model: the host; says which field is its input, which its target.
            steps: the transforms of the pipeline.
            path: image file.
            pair: whether the file holds the target as well.
            mask: file with the hole, white in black.

        Raises:
            UserError: the host takes no pair or mask, or needs one; a file is no
                readable image; the pipeline has no step for it.
        """

    @staticmethod
    def refuse_mask(model, mask) -> None:
        """An error that names the host, if there is a mask."""
        if mask is not None:
            raise UserError(f'--mask {mask}: {type(model).__name__} takes no mask')


class PairInput(ImageInput):
    """The condition alone, or a pair A|B side by side as in the data set.

    The step that loads pairs says which half is what (``domain_a`` is the left one),
    and how a file is decoded.
    """

    def fields(self, model, steps, path, pair=False, mask=None):
        self.refuse_mask(model, mask)
        place, load = _step_with(steps, 'domain_a', 'that loads pairs')
        names = [f'img_{domain}' for domain in (load.domain_a, load.domain_b)]
        if model.input_field not in names:
            raise UserError(
                f'the test pipeline loads {" and ".join(names)}, and the model takes '
                f'{model.input_field}: set domain_a and domain_b in the config'
            )
        image = read_image(path, load)
        if not pair:
            # Also in the target's place: the pipeline asks for it, sampling does not
            fields = {f'{load.key}_path': str(path)}
            for name in names:
                fields |= {
                    name: image,
                    f'{name}_path': str(path),
                    f'{name}_ori_shape': image.shape,
                }
            return fields, steps[place + 1 :]
        if image.shape[1] % 2:
            raise UserError(
                f'{path} is {image.shape[1]} pixels wide: a pair of two images side by '
                'side has an even width'
            )
        return {f'{load.key}_path': str(path)}, steps


class SmallImageInput(ImageInput):
    """Super-resolution: the small image alone. Steps that load the large one go.

    Args:
        key: of the small image in the pipeline.
        target_key: of the large one.
    """

    def __init__(self, key: str = 'img', target_key: str = 'gt'):
        self.key = key
        self.target_key = target_key

    def fields(self, model, steps, path, pair=False, mask=None):
        self.refuse_mask(model, mask)
        if pair:
            raise UserError('--pair: super-resolution takes the small image alone')
        read_image(path)
        keys = [getattr(step, 'key', '') for step in steps]
        if self.key in keys:
            kept = [
                s for s, key in zip(steps, keys, strict=True) if key != self.target_key
            ]
        elif self.target_key in keys:
            # The pipeline makes the small image of the large one; here it is a file
            load = copy(steps[keys.index(self.target_key)])
            load.key = self.key
            kept = [load, steps[-1]]  # the last one packs
        else:
            raise UserError(
                f'the test pipeline of the config loads neither {self.key} nor '
                f'{self.target_key}: add a step, as validation has it'
            )
        return {f'{self.key}_path': str(path)}, kept


class HoleInput(ImageInput):
    """Inpainting: an image and a mask, white in the hole.

    Where the pipeline draws masks, the user's takes their place.

    Args:
        key: of the image in the pipeline.
    """

    takes_mask = True

    def __init__(self, key: str = 'gt'):
        self.key = key

    def fields(self, model, steps, path, pair=False, mask=None):
        if mask is None:
            raise UserError(
                f'{path}: inpainting needs a mask, white in the hole (--mask FILE)'
            )
        drawing = [hasattr(step, 'sides') for step in steps]
        if any(drawing):  # RandomHole; what cuts or reduces before it has no mask
            after = steps[drawing.index(True) + 1 :]
            load = TRANSFORMS.build(dict(type='LoadMask', mask_mode='file'))
            steps = [steps[0], load, *after]
        else:
            place, load = _step_with(steps, 'mask_mode', 'that loads masks (LoadMask)')
            if load.mask_mode != 'file':
                steps = [*steps]
                steps[place] = type(load)(mask_mode='file')
        for file in path, mask:
            read_image(file)
        return {f'{self.key}_path': str(path), 'mask_path': str(mask)}, steps


def read_image(path: str | Path, load=None) -> np.ndarray:
    """An image file, (H, W, C).

    Args:
        path: the file.
        load: step whose options say how it is decoded; None: as MMagic's default.

    Raises:
        UserError: the file is no readable image; it is named.
    """
    options = {}
    if load is not None:
        options = dict(flag=load.color_type, channel_order=load.channel_order)
        options['backend'] = load.imdecode_backend
    try:
        image = mmcv.imfrombytes(Path(path).read_bytes(), **options)
    except Exception as error:  # whatever the decoder or the file system says
        reason = ' '.join(str(error).split())
        raise UserError(f'{path} is not a readable image ({reason})') from error
    if image is None:
        raise UserError(f'{path} is not a readable image')
    if image.ndim == 2:
        image = image[..., None]
    return image.astype(np.float32) if getattr(load, 'to_float32', False) else image


def _step_with(steps, attribute, what):
    for place, step in enumerate(steps):
        if hasattr(step, attribute):
            return place, step
    raise UserError(
        f'the test pipeline of the config has no step {what}: add one, as validation '
        'has it'
    )
