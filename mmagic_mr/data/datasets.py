"""Datasets that say what is wrong.

MMagic's own datasets do the reading; what is added are pairs that must match, and clear
errors: which folder is missing and which command makes it, which file is broken.
"""

import json
import os.path as osp
from collections.abc import Callable
from os import PathLike
from typing import ClassVar

import mmcv
from mmengine.dataset import BaseDataset
from mmengine.fileio import get_file_backend
from torch import Tensor

from mmagic_mr.checks import Natural, checked, fits
from mmagic_mr.data.prepare.files import first_few
from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.host import DATASETS, BasicImageDataset, PairedImageDataset


class ClearErrors:
    """Mixin before a MMagic dataset; uses its ``file_backend``."""

    prepare_hint: str | None

    def _how_to_make(self):
        return f' Make it with: {self.prepare_hint}' if self.prepare_hint else ''

    def _require_folder(self, folder):
        if not self.file_backend.isdir(folder):
            raise MissingFileError(
                f'dataset folder {folder} is missing.{self._how_to_make()}'
            )

    def __getitems__(self, indices):
        """The batch that a loader asks for; refused if it cannot be stacked."""
        batch = [self[index] for index in indices]
        first = _sizes(batch[0])
        for index, data in zip(indices, batch, strict=True):
            for kind, size in _sizes(data).items():
                if first.get(kind, size) != size:
                    raise UserError(
                        f'one batch holds {_named(size, kind, self._paths(index))} and '
                        f'{_named(first[kind], kind, self._paths(indices[0]))}: bring '
                        'all images to one size, upright, or cut them in the pipeline'
                    )
        return batch

    def _paths(self, idx):
        info = self.get_data_info(idx)
        return [str(value) for key, value in info.items() if key.endswith('_path')]

    def prepare_data(self, idx):
        try:
            return super().prepare_data(idx)
        except Exception as error:
            paths = self._paths(idx)
            broken = [path for path in paths if not self._is_readable(path)]
            if broken:
                raise UserError(
                    f'{", ".join(broken)} is not a readable image: delete it and make '
                    f'it again.{self._how_to_make()}'
                ) from error
            if isinstance(error, ValueError):
                raise UserError(f'{", ".join(paths)}: {error}') from error
            raise

    def _is_readable(self, path):
        try:
            return mmcv.imfrombytes(self.file_backend.get(path)) is not None
        except Exception:  # whatever the decoder or the file system says
            return False


def _sizes(data):
    """(H, W) of what is stacked as it is; a single input tensor may be padded."""
    inputs = data.get('inputs')
    found = dict(inputs) if isinstance(inputs, dict) else {}
    sample = data.get('data_samples')
    found.update(sample.all_items() if sample is not None else {})
    return {
        kind: tuple(value.shape[-2:])
        for kind, value in found.items()
        if isinstance(value, Tensor) and value.ndim >= 2
    }


def _named(size, kind, paths):
    return f'{size[1]}x{size[0]} ({kind} of {", ".join(paths)})'


@DATASETS.register_module()
class MRPairedImageDataset(ClearErrors, PairedImageDataset):
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
        MissingFileError: the folder is missing or holds no image.
        UserError: on loading, an image that cannot be decoded or has an odd width;
            it names the file.

    Example:
        >>> MRPairedImageDataset('/no', [], prepare_hint='python ...')
        Traceback (most recent call last):
        mmagic_mr.errors.MissingFileError: dataset folder /no/train is missing. Make \
it with: python ...
    """

    METAINFO: ClassVar = dict(
        dataset_type='paired_image_dataset', task_name='translation'
    )

    @checked
    def __init__(
        self,
        data_root: str | PathLike,
        pipeline: list[dict | Callable],
        io_backend: str | None = None,
        test_mode: bool = False,
        test_dir: str = 'val',
        prepare_hint: str | None = None,
        **kwargs,
    ):
        self.prepare_hint = prepare_hint
        backend = None if io_backend is None else {'backend': io_backend}
        try:
            self.file_backend = get_file_backend(str(data_root), backend_args=backend)
        except KeyError as error:
            raise UserError(
                f'MRPairedImageDataset: io_backend {io_backend!r} is none of mmengine'
            ) from error
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
            raise MissingFileError(
                f'dataset folder {path} holds no image.{self._how_to_make()}'
            ) from None


@DATASETS.register_module()
class MRImageDataset(ClearErrors, BasicImageDataset):
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
        MissingFileError: a folder, a partner of an image, or a box is missing.
        UserError: on loading, an image that cannot be decoded or does not fit; it
            names the file.
    """

    @checked
    def __init__(
        self,
        data_root: str | PathLike,
        data_prefix: dict[str, str],
        box_file: str | None = None,
        prepare_hint: str | None = None,
        **kwargs,
    ):
        self.prepare_hint = prepare_hint
        self.box_file = box_file
        if not data_prefix:
            raise UserError('MRImageDataset: data_prefix must name a folder, got {}')
        # BasicImageDataset writes into this argument's default
        kwargs.setdefault('filename_tmpl', {})
        super().__init__(data_root=data_root, data_prefix=data_prefix, **kwargs)

    def load_data_list(self):
        for folder in self.data_prefix.values():
            self._require_folder(folder)
        data_list = sorted(super().load_data_list(), key=lambda data: data['key'])
        if not data_list:
            raise MissingFileError(
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
                raise MissingFileError(
                    f'images {what}: {first_few(names)}.{self._how_to_make()}'
                )

    def _add_boxes(self, data_list):
        path = osp.join(self.data_root, self.box_file)
        if not self.file_backend.exists(path):
            raise MissingFileError(f'box file {path} is missing.{self._how_to_make()}')
        try:
            boxes = json.loads(self.file_backend.get_text(path))
        except (ValueError, RecursionError):
            boxes = None
        if not fits(boxes, dict[str, tuple[Natural, Natural, Natural, Natural]]):
            raise UserError(
                f'{path} does not map names to boxes of [top, left, height, width]'
                f'.{self._how_to_make()}'
            )
        missing = {data['key'] for data in data_list} - set(boxes)
        if missing:
            raise MissingFileError(
                f'{path} has no box for {first_few(missing)}.{self._how_to_make()}'
            )
        for data in data_list:
            data['mask_bbox'] = tuple(boxes[data['key']])
