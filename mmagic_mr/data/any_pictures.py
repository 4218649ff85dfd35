"""Pictures as people have them: any size and format, in any folder."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.fileio import get_file_backend
from mmengine.logging import print_log
from PIL import Image

from mmagic_mr.checks import Count, Ratio, checked
from mmagic_mr.data.datasets import ClearErrors
from mmagic_mr.data.pictures import open_picture, read_rgb, resize, shrink, to_square
from mmagic_mr.data.prepare.selection import drawn_for_val, name_of
from mmagic_mr.data.transforms import copy_facts
from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.host import DATASETS, TRANSFORMS
from mmagic_mr.io import is_image


@DATASETS.register_module()
class MRFolderDataset(ClearErrors, BaseDataset):
    """The pictures of a folder and its subfolders: ``gt`` of super-resolution, say.

    A folder with subfolders ``train`` and ``val``, as ``tools/prepare_data.py images``
    makes it, is taken as it is split. Any other one is split by the names of the files.
    What is no picture, or too small, is left out, and a line of the log says so.

    Args:
        data_root: the folder.
        pipeline: transforms; the first one loads ``gt_path``.
        split: ``'train'`` or ``'val'``.
        val: part of a folder that is kept for validation, where it is not split.
        least: pixels that the shorter side has to have.
        prepare_hint: command that makes such a folder, for the error messages.
        **kwargs: options of mmengine's ``BaseDataset``.

    Raises:
        MissingFileError: the folder is missing, or holds too few pictures.
        UserError: on loading, a picture that cannot be decoded; it names the file.
    """

    @checked
    def __init__(
        self,
        data_root: str | PathLike,
        pipeline: list[dict],
        split: Literal['train', 'val'] = 'train',
        val: Ratio = 0.1,
        least: Count = 1,
        prepare_hint: str | None = None,
        **kwargs,
    ):
        self.prepare_hint = prepare_hint
        self.split, self.val, self.least = split, val, least
        self.file_backend = get_file_backend(str(data_root))
        super().__init__(
            data_root=str(data_root),
            pipeline=pipeline,
            test_mode=split == 'val',
            **kwargs,
        )

    def load_data_list(self):
        self._require_folder(self.data_root)
        root = Path(self.data_root)
        is_split = (root / 'train').is_dir()
        folder = root / self.split if is_split else root
        if is_split:
            self._require_folder(str(folder))
        found = [p for p in sorted(folder.rglob('*')) if is_image(p)]
        found = [p for p in found if not p.name.startswith('.')]
        paths = self._usable(found)
        least = 1 if is_split else 2
        if len(paths) < least:
            raise MissingFileError(
                f'dataset folder {folder} holds {len(paths)} pictures that can be '
                f'used, of {len(found)}; {least} are needed.{self._how_to_make()}'
            )
        if not is_split:
            names = {path: name_of(path, folder) for path in paths}
            val = drawn_for_val(names.values(), self.val)
            paths = [p for p in paths if (names[p] in val) == (self.split == 'val')]
        return [{'gt_path': str(path), 'key': name_of(path, folder)} for path in paths]

    def _usable(self, paths):
        usable, left_out = [], Counter()
        for path in paths:
            try:
                with open_picture(path) as image:  # its head alone
                    small = min(image.size) < self.least
            except UserError:
                left_out['not readable'] += 1
                continue
            if small:
                left_out[f'smaller than {self.least}'] += 1
            else:
                usable.append(path)
        if left_out:
            words = ', '.join(f'{number} {why}' for why, number in left_out.items())
            print_log(
                f'{self.data_root}: {len(usable)} pictures; left out: {words}',
                logger='current',
            )
        return usable

    def _is_readable(self, path):
        try:
            read_rgb(path)
        except UserError:
            return False
        return True


@TRANSFORMS.register_module()
class LoadPicture(BaseTransform):
    """Loads ``<key>_path``, whatever the format, as 8-bit RGB, upright.

    Args:
        key: of the picture.

    Raises:
        UserError: see :func:`mmagic_mr.data.pictures.read_rgb`.
    """

    @checked
    def __init__(self, key: str = 'gt'):
        self.key = key

    def transform(self, results):
        image = np.array(read_rgb(results[f'{self.key}_path']))
        results[self.key] = image
        results[f'ori_{self.key}_shape'] = image.shape
        results[f'{self.key}_channel_order'] = 'rgb'
        results[f'{self.key}_color_type'] = 'color'
        return results


class _PillowTransform(BaseTransform):
    """Changes the pictures of some keys, as Pillow has them."""

    keys: list[str]
    change: Callable[[Image.Image], Image.Image]

    def transform(self, results):
        for key in self.keys:
            image = Image.fromarray(np.asarray(results[key], dtype=np.uint8))
            results[key] = np.array(self.change(image))
        return results


@TRANSFORMS.register_module()
class Shrink(_PillowTransform):
    """Reduces pictures to a shorter side; smaller ones stay as they are.

    Args:
        keys: of the pictures.
        short_side: in pixels.
    """

    @checked
    def __init__(self, keys: list[str], short_side: Count):
        self.keys = keys
        self.change = partial(shrink, short_side=short_side)
        self.short_side = short_side


@TRANSFORMS.register_module()
class ToSquare(_PillowTransform):
    """Squares of one size, made as ``tools/prepare_data.py pairs`` makes them.

    Pictures that have the size stay as they are.

    Args:
        keys: of the pictures.
        size: side, in pixels.
        squeeze: all of the picture; else the largest square in its middle.
        labels: colors stand for classes: mix none.
    """

    @checked
    def __init__(
        self,
        keys: list[str],
        size: Count,
        squeeze: bool = False,
        labels: bool = False,
    ):
        self.keys = keys
        self.change = partial(to_square, size=size, squeeze=squeeze, labels=labels)


@TRANSFORMS.register_module()
class Downscale(BaseTransform):
    """``img`` = ``gt``, reduced by ``scale``: bicubic with antialiasing.

    Args:
        scale: side of ``gt`` over side of ``img``.

    Raises:
        UserError: a side of ``gt`` is not a multiple of ``scale``.
    """

    @checked
    def __init__(self, scale: Count = 4):
        self.scale = scale

    def transform(self, results):
        height, width = results['gt'].shape[:2]
        if height % self.scale or width % self.scale:
            raise UserError(
                f'the image is {width}x{height}, which is not a multiple of the scale '
                f'{self.scale}: cut it before'
            )
        image = Image.fromarray(np.asarray(results['gt'], dtype=np.uint8))
        small = resize(image, width // self.scale, height // self.scale)
        results['img'] = np.array(small)
        copy_facts(results, 'gt', 'img')
        results['ori_img_shape'] = results['img'].shape
        return results
