"""Samples of a trained model, for images of any kind."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mmagic_mr import inference
from mmagic_mr.apis.inputs import image_files, is_many, mask_files
from mmagic_mr.apis.result import Samples, SampleSet
from mmagic_mr.checks import Count, Positive, check_kind
from mmagic_mr.errors import UserError

Amp = Literal['auto', 'bf16', 'fp16'] | None


def draw_samples(
    model: nn.Module,
    images: Any,
    num_samples: int | None = None,
    seed: int = 0,
    *,
    z: Mapping[str, Tensor] | None = None,
    temperature: float = 1.0,
    masks: Any = None,
    pair: bool = False,
    batch_size: int = 8,
    amp: Amp = None,
) -> Samples | SampleSet:
    """Draw K samples for each image.

    Args:
        model: From `load_model`.
        images: A path, a PIL image, an array (H, W, 3), a tensor (3, H, W); RGB, whole
            numbers from 0 to 255 or fractions from 0 to 1. Or more of them: a list, a
            folder, an array or tensor of four axes.
        num_samples: K; None: ``eval_num_samples`` of the model.
        seed: Of the noise. The same seed gives an image the same samples, whatever the
            batch it is in.
        z: The noise itself, by site, (K, channels, h, w) each, the same for every
            image: ``z`` of a result. Leave ``num_samples`` and ``seed`` as they are.
        temperature: Factor of the noise's distance from its mean: below 1 the samples
            are nearer to each other than the model learnt, above 1 further.
        masks: Inpainting: the hole. A path, a PIL image, an array or tensor (H, W) that
            is not 0 in the hole; one for all, a list of one for each, or a folder that
            has one of each image's name, as PNG.
        pair: The images hold the ground truth: pairs A|B of Pix2Pix, or images to
            inpaint that have no hole yet.
        batch_size: Images of one size that are drawn at a time.
        amp: Compute in half precision: 'auto', bfloat16 where the device has it;
            'bf16', or an error; 'fp16', on a GPU alone.

    Returns:
        `Samples` for one image; a `SampleSet` of them, a sequence, for more.

    Raises:
        UserError: an image is not readable, or has a size, shape or range that the
            model does not take; a mask is missing, or not asked for; K below 1, and
            other arguments out of range; K above 1 of a model without noise.

    Example:
        >>> import numpy as np
        >>> from mmengine.config import Config
        >>> from mmengine.registry import init_default_scope
        >>> from mmagic_mr.plugin import MODELS
        >>> init_default_scope('mmagic')
        >>> network = dict(type='MSRResNet', in_channels=3, out_channels=3,
        ...                mid_channels=4, num_blocks=2)
        >>> steps = [dict(type='LoadImageFromFile', key='img'), dict(type='PackInputs')]
        >>> cfg = Config(dict(
        ...     model=dict(type='MREditModel', generator=network, noise='srgan',
        ...                data_preprocessor=dict(type='DataPreprocessor')),
        ...     test_dataloader=dict(dataset=dict(pipeline=steps))))
        >>> model = MODELS.build(cfg.model)  # or load_model('work_dirs/NAME')
        >>> model.cfg = cfg
        >>> gray = np.full((8, 8, 3), 128, np.uint8)
        >>> drawn = draw_samples(model, gray, num_samples=4, seed=0)
        >>> drawn.samples.shape, drawn.std.shape
        (torch.Size([4, 3, 32, 32]), torch.Size([3, 32, 32]))
        >>> drawn.interpolate(0, 3, steps=5).samples.shape
        torch.Size([5, 3, 32, 32])
    """
    if z is not None and num_samples is None:
        num_samples = _samples_in(z)
    if num_samples is None:
        num_samples = model.eval_num_samples
    check_kind('num_samples', num_samples, Count)
    check_kind('seed', seed, int)
    check_kind('temperature', temperature, Positive)
    check_kind('batch_size', batch_size, Count)
    drawer = Drawer(model, amp)
    with image_files(images) as files, mask_files(masks, files) as holes:
        named = [
            (file.name, inference.read_input(model, file.path, pair, hole))
            for file, hole in zip(files, holes, strict=True)
        ]
        drawn: list[Samples] = []
        for batch in _batches(named, batch_size):
            drawn += drawer.draw(batch, num_samples, seed, z, temperature)
    return SampleSet(drawn) if is_many(images) else drawn[0]


class Drawer:
    """What draws for a result, and draws again for its neighbors.

    Args:
        model: From `load_model`.
        amp: See `draw_samples`.
    """

    def __init__(self, model: nn.Module, amp: Amp = None):
        self.model, self.amp = model, amp
        self.device = next(model.parameters()).device
        self._autocast()  # says now what is wrong

    def draw(
        self,
        named: Sequence[tuple[str, inference.Input]],
        num_samples: int,
        seed: int | None = None,
        z: Mapping[str, Tensor] | None = None,
        temperature: float = 1.0,
    ) -> list[Samples]:
        """Samples for inputs of one size; the arguments are those of `draw_samples`."""
        inputs = [one for _, one in named]
        keep: dict[str, Tensor] = {}
        source = dict(keep=keep, temperature=temperature)
        if z is not None:
            seed = None
            source['z'] = {
                site: value.expand(len(inputs), *value.shape).to(self.device)
                for site, value in z.items()
            }
        with self._autocast():
            outputs = inference.draw(self.model, inputs, num_samples, seed, **source)
        drawn = []
        for i, ((name, one), output) in enumerate(zip(named, outputs, strict=True)):
            noise = {site: value[i].cpu() for site, value in keep.items()}
            drawn.append(Samples(name, output, noise, one, self))
        return drawn

    def _autocast(self) -> AbstractContextManager:
        from mmagic_mr.optim import amp_dtype

        check_kind('amp', self.amp, Amp)
        if self.amp is None:
            return nullcontext()
        if self.amp == 'fp16':
            if self.device.type != 'cuda':
                raise UserError(
                    f"amp='fp16' needs a GPU, and the model is on {self.device}: take "
                    "amp='auto'"
                )
            return torch.autocast('cuda', torch.float16)
        dtype = amp_dtype(self.amp, self.device)
        if dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype)


def _samples_in(z: Mapping[str, Tensor]) -> int:
    counts = {len(value) for value in z.values()}
    if len(counts) != 1:
        raise UserError(
            f'z has {sorted(counts)} samples at its sites: give (K, channels, h, w) at '
            'each, with one K'
        )
    return counts.pop()


def _batches(named: list, size: int) -> Iterator[list]:
    """Neighbors of one size together, as many as ``size``."""
    batch: list = []
    for one in named:
        if batch and (len(batch) == size or _shape(one) != _shape(batch[0])):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _shape(named: tuple) -> list:
    inputs = named[1].data['inputs']
    values = inputs.values() if isinstance(inputs, dict) else [inputs]
    return [value.shape for value in values]
