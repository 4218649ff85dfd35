"""Datasets that say what is wrong, and the holes of the inpainting task.

MMagic's own datasets do the reading; what is added are pairs that must match, clear
errors (which folder is missing and which command makes it, which file is broken), and
holes inside a box that the local discriminator finds again.
"""


import json
import os.path as osp

import mmcv
import numpy as np
from mmagic_mr.host import BasicImageDataset, PairedImageDataset
from mmagic_mr.host import FixedCrop
from mmagic_mr.host import DATASETS, TRANSFORMS
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.fileio import get_file_backend

from mmagic_mr.data.prepare.files import first_few
from mmagic_mr.data.holes import draw_hole, hole_mask


class _ClearErrors:
    """Mixin before a MMagic dataset; uses its ``file_backend``."""

    prepare_hint: str | None

    def _how_to_make(self):
        return f' Make it with: {self.prepare_hint}' if self.prepare_hint else ''

    def _require_folder(self, folder):
        if not self.file_backend.isdir(folder):
            raise FileNotFoundError(
                f'dataset folder {folder} is missing.{self._how_to_make()}'
            )

    def prepare_data(self, idx):
        try:
            return super().prepare_data(idx)
        except Exception as error:
            info = self.get_data_info(idx)
            paths = [value for key, value in info.items() if key.endswith('_path')]
            broken = [path for path in paths if not self._is_readable(path)]
            if broken:
                raise ValueError(
                    f'{", ".join(broken)} is not a readable image: delete it and make '
                    f'it again.{self._how_to_make()}'
                ) from error
            if isinstance(error, ValueError):
                raise ValueError(f'{", ".join(paths)}: {error}') from error
            raise

    def _is_readable(self, path):
        try:
            return mmcv.imfrombytes(self.file_backend.get(path)) is not None
        except Exception:  # whatever the decoder or the file system says
            return False


@DATASETS.register_module()
class MRPairedImageDataset(_ClearErrors, PairedImageDataset):
    """MMagic's ``PairedImageDataset``: pairs A|B side by side, with clear errors.

    Args:
        data_root: holds the folders ``train`` and ``test_dir``.
        pipeline: transforms; the first one loads ``pair_path``.
        io_backend: mmengine's storage backend; None: from ``data_root``.
        test_mode: read ``test_dir`` in place of ``train``.
        test_dir: ``'val'`` here, as the pix2pix datasets have it (MMagic: ``'test'``).
        prepare_hint: command that makes the dataset, for the error messages.
        **kwargs: mmengine's ``BaseDataset`` options: ``lazy_init``, ``indices``, ...

    Raises:
        FileNotFoundError: the folder is missing or holds no image.
        ValueError: on loading, an image that cannot be decoded or has an odd width;
            it names the file.

    Example:
        >>> MRPairedImageDataset('/no', [], prepare_hint='python ...')
        Traceback (most recent call last):
        FileNotFoundError: dataset folder /no/train is missing. Make it with: python ...
    """

    def __init__(
        self,
        data_root: str,
        pipeline: list,
        io_backend: str | None = None,
        test_mode: bool = False,
        test_dir: str = 'val',
        prepare_hint: str | None = None,
        **kwargs,
    ):
        self.prepare_hint = prepare_hint
        backend = None if io_backend is None else {'backend': io_backend}
        self.file_backend = get_file_backend(str(data_root), backend_args=backend)
        # Not PairedImageDataset's: it takes none of BaseDataset's further options
        BaseDataset.__init__(
            self,
            data_root=osp.join(str(data_root), test_dir if test_mode else 'train'),
            pipeline=pipeline,
            test_mode=test_mode,
            **kwargs,
        )

    def scan_folder(self, path):
        self._require_folder(path)
        try:
            return super().scan_folder(path)
        except AssertionError:
            raise FileNotFoundError(
                f'dataset folder {path} holds no image.{self._how_to_make()}'
            ) from None


@DATASETS.register_module()
class MRImageDataset(_ClearErrors, BasicImageDataset):
    """MMagic's ``BasicImageDataset`` in order of name, with partners that must match.

    Args:
        data_root: dataset folder.
        data_prefix: folder below ``data_root`` of each kind, for example
            ``dict(gt='train/gt', img='train/lq')``; every image must be in all of them.
        box_file: JSON below ``data_root`` that maps the images' names to the local box,
            [top, left, height, width] in pixels; it becomes ``mask_bbox``.
        prepare_hint: command that makes the dataset, for the error messages.
        **kwargs: options of ``BasicImageDataset`` and mmengine's ``BaseDataset``.

    Raises:
        FileNotFoundError: a folder, a partner of an image, or a box is missing.
        ValueError: on loading, an image that cannot be decoded or does not fit; it
            names the file.
    """

    def __init__(
        self,
        data_root: str,
        data_prefix: dict,
        box_file: str | None = None,
        prepare_hint: str | None = None,
        **kwargs,
    ):
        self.prepare_hint = prepare_hint
        self.box_file = box_file
        # BasicImageDataset writes into this argument's default
        kwargs.setdefault('filename_tmpl', {})
        super().__init__(data_root=data_root, data_prefix=data_prefix, **kwargs)

    def load_data_list(self):
        for folder in self.data_prefix.values():
            self._require_folder(folder)
        data_list = sorted(super().load_data_list(), key=lambda data: data['key'])
        if not data_list:
            raise FileNotFoundError(
                f'dataset folder {self.data_prefix[self.search_key]} holds no image.'
                f'{self._how_to_make()}'
            )
        for kind, folder in self.data_prefix.items():
            self._check_partners({data[f'{kind}_path'] for data in data_list}, folder)
        if self.box_file is not None:
            self._add_boxes(data_list)
        return data_list

    def _check_partners(self, wanted, folder):
        found = {
            osp.join(folder, name)
            for name in self.file_backend.list_dir_or_file(
                folder, list_dir=False, suffix=self.img_suffix, recursive=self.recursive
            )
        }
        # An annotation file may choose some of the images
        extra = set() if self.use_ann_file else found - wanted
        for names, what in ((wanted - found, 'missing'), (extra, 'without a partner')):
            if names:
                raise FileNotFoundError(
                    f'images {what}: {first_few(names)}.{self._how_to_make()}'
                )

    def _add_boxes(self, data_list):
        path = osp.join(self.data_root, self.box_file)
        if not self.file_backend.exists(path):
            raise FileNotFoundError(f'box file {path} is missing.{self._how_to_make()}')
        boxes = json.loads(self.file_backend.get_text(path))
        missing = {data['key'] for data in data_list} - set(boxes)
        if missing:
            raise FileNotFoundError(
                f'{path} has no box for {first_few(missing)}.{self._how_to_make()}'
            )
        for data in data_list:
            data['mask_bbox'] = tuple(boxes[data['key']])


@TRANSFORMS.register_module()
class StrictCrop(FixedCrop):
    """MMagic's ``FixedCrop``, which refuses an image smaller than the crop.

    FixedCrop returns a smaller crop without a word, and the batch fails to stack.

    Args:
        keys: images that are cropped alike.
        crop_size: height, width in pixels.
        crop_pos: x, y in pixels; None: random.

    Raises:
        ValueError: the crop does not fit.
    """

    def transform(self, results):
        height, width = results[self.keys[0]].shape[:2]
        crop_height, crop_width = self.crop_size
        left, top = self.crop_pos or (0, 0)
        if top + crop_height > height or left + crop_width > width:
            raise ValueError(
                f'the image of {width}x{height} is smaller than the crop of '
                f'{crop_width}x{crop_height} at x={left}, y={top}'
            )
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

    Raises:
        ValueError: the box does not fit into the image, or the hole into the box.
    """

    def __init__(
        self,
        box_size: int = 64,
        sides: tuple[int, int] = (48, 64),
        img_key: str = 'gt',
    ):
        self.box_size = box_size
        self.sides = tuple(sides)
        self.img_key = img_key

    def transform(self, results):
        height, width = results[self.img_key].shape[:2]
        # The global generator is the one that mmengine seeds in every worker
        box, hole = draw_hole(
            np.random.randint,
            height,
            width,
            self.box_size,
            self.sides,
        )
        results['mask'] = hole_mask(hole, height, width)[..., None]
        results['mask_bbox'] = tuple(box)
        return results


@TRANSFORMS.register_module()
class FillHole(BaseTransform):
    """``img`` = ``gt`` with the hole filled by one colour.

    As MMagic's ``GetMaskedImage``, with a colour in place of a grey, and checks. An
    image without ``mask_bbox`` gets the rectangle around its hole.

    Args:
        color: red, green, blue in [0, 255]; the mean of the training set. Default:
            CelebA's, as the authors have it.

    Raises:
        ValueError: the mask has no hole, or not the size of the image.
    """

    def __init__(self, color: tuple[float, float, float] = (130, 108, 96)):
        self.color = np.asarray(color, dtype=np.float32)

    def transform(self, results):
        image, mask = results['gt'], results['mask']
        if mask.shape[:2] != image.shape[:2]:
            height, width = mask.shape[:2]
            raise ValueError(
                f'the mask is {width}x{height}, the image '
                f'{image.shape[1]}x{image.shape[0]}: they must have one size'
            )
        if not mask.any():
            raise ValueError('the mask has no hole: it is 0 everywhere')
        order = results.get('gt_channel_order', 'bgr')
        color = self.color if order == 'rgb' else self.color[::-1]
        results['img'] = np.where(mask > 0, color, image).astype(np.float32)
        for name in ('ori_{}_shape', '{}_channel_order', '{}_color_type'):
            if name.format('gt') in results:
                results[name.format('img')] = results[name.format('gt')]
        results.setdefault('mask_bbox', _around(mask))
        return results


def _around(mask):
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in ((1, 2), (0, 2)))
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1
