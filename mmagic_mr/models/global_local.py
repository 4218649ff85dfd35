"""Inpainting with a global and a local discriminator that draws many samples."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from mmagic_mr.data.image_inputs import HoleInput
from mmagic_mr.host import MODELS, GLInpaintor
from mmagic_mr.models.base import Batch, MomentReconstruction


@MODELS.register_module()
class MRGLInpaintor(MomentReconstruction, GLInpaintor):
    """GLCIC with K samples per input and a moment reconstruction loss.

    The samples that are shown and judged equal the input outside the hole; losses and
    moments count inside it alone. ``mr_loss`` replaces ``loss_l1_hole`` and
    ``loss_l1_valid``.

    Args:
        kwargs: those of :class:`MomentReconstruction` and of MMagic's ``GLInpaintor``.
            In ``train_cfg``, ``iter_tc`` and ``iter_td`` (iterations of the generator
            without the discriminator, and the last of those of the discriminator alone)
            and ``local_size`` are as there; without ``train_cfg`` both networks train
            from the start, and ``mask_bbox`` is what the local discriminator sees.

    ``sample`` and ``predict_moments`` take 4 channels: the image with its hole filled,
    and the mask, 1 in the hole.

    Reference:
        Iizuka et al., "Globally and Locally Consistent Image Completion", SIGGRAPH
        2017; Lee et al., ICLR 2019.

    Example:
        >>> from mmengine.registry import init_default_scope
        >>> init_default_scope('mmagic')
        >>> model = MRGLInpaintor(
        ...     data_preprocessor=None,
        ...     encdec=dict(type='GLEncoderDecoder'),
        ...     noise='glcic',
        ... )
        >>> image, mask = torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)
        >>> model.sample(torch.cat([image, mask], 1), num_samples=5).shape
        torch.Size([1, 5, 3, 32, 32])
    """

    generator_arg = 'encdec'
    discriminator_name = 'disc'
    gan_loss_name = 'loss_gan'
    size_multiple = 4
    image_input = HoleInput()
    reconstruction_terms = ('loss_l1_hole', 'loss_l1_valid', 'loss_composed_percep')

    def make_condition(self, x: Tensor) -> Batch:
        if x.shape[1] != 4:
            raise ValueError(
                'inpainting takes the image with its hole filled and the mask (1 in '
                f'the hole), 4 channels: got {x.shape[1]}'
            )
        image, mask = x[:, :3], x[:, 3:]
        return Batch(torch.cat([self.whiten(image), mask], 1), mask=mask, known=image)

    def make_batch(self, data: dict) -> Batch:
        samples = data['data_samples']
        box = samples.metainfo.get('mask_bbox')
        return replace(
            self.make_condition(torch.cat([data['inputs'], samples.mask], 1)),
            y=samples.get('gt_img'),
            box=None if box is None else torch.from_numpy(np.asarray(box)),
        )

    def judge(
        self, network: nn.Module, batch: Batch, images: Tensor, num_samples: int
    ) -> Tensor:
        if batch.box is None:
            raise ValueError(
                'the local discriminator needs the box around the hole: let the '
                'pipeline set mask_bbox (RandomHole, FillHole and LoadMask do)'
            )
        size = (self.train_cfg or {}).get('local_size')
        samples = images.unflatten(0, (-1, num_samples))
        return network((images, local_patches(samples, batch.box, size).flatten(0, 1)))

    def is_adversarial(self, iteration: int) -> bool:
        return self._place(iteration) > 0

    def is_generator_turn(self, iteration: int) -> bool:
        place = self._place(iteration)
        if place <= 0 or self.train_cfg is None:
            return True
        alone = self.train_cfg.iter_td - self.train_cfg.iter_tc
        return place > alone and place % self.train_cfg.disc_step == 0

    def _place(self, iteration: int) -> int:
        """Updates of the discriminator until this iteration, as MMagic counts."""
        config = self.train_cfg
        if config is None:
            return iteration + 1
        if not config.disc_step:
            return 0
        return config.get('start_iter', 0) + iteration - config.iter_tc

    def host_losses(self, batch: Batch, samples: Tensor) -> dict:
        losses = {}
        if self.with_l1_hole_loss:
            losses['loss_l1_hole'] = self.pixel_loss_of(
                self.loss_l1_hole, batch, samples
            )
        if self.with_l1_valid_loss:
            valid = replace(batch, mask=1 - batch.mask)
            losses['loss_l1_valid'] = self.pixel_loss_of(
                self.loss_l1_valid, valid, samples
            )
        return losses


def local_patches(
    samples: Tensor, boxes: Tensor, size: tuple[int, int] | None = None
) -> Tensor:
    """Patches around boxes, one place for the K samples of an input.

    As MMagic's ``extract_around_bbox``, but a patch at the border of the image is moved
    inside, where that one would be cut off.

    Args:
        samples: images.
        boxes: top, left, height, width, in pixels; on the CPU.
        size: height and width of the patches; None: the boxes'.

    Raises:
        ValueError: the patch is larger than the image.

    Shape:
        samples (N, K, C, H, W), boxes (N, 4) to (N, K, C, h, w).

    Example:
        >>> image = torch.arange(16.).view(1, 1, 1, 4, 4)
        >>> local_patches(image, torch.tensor([[1, 2, 1, 1]]), (2, 2)).flatten()
        tensor([ 6.,  7., 10., 11.])
    """
    height, width = samples.shape[-2:]
    patches = []
    for images, (top, left, box_h, box_w) in zip(samples, boxes.tolist(), strict=True):
        h, w = size or (box_h, box_w)
        if h > height or w > width:
            raise ValueError(
                f'the local patch of {w}x{h} is larger than the image of '
                f'{width}x{height}: make train_cfg.local_size smaller'
            )
        top = min(max(top - (h - box_h) // 2, 0), height - h)
        left = min(max(left - (w - box_w) // 2, 0), width - w)
        patches.append(images[..., top : top + h, left : left + w])
    return torch.stack(patches)
