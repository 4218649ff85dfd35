"""Inpainting with a global and a local discriminator that draws many samples."""

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn

from mmagic_mr.errors import UserError
from mmagic_mr.host import MODELS, GLInpaintor
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.inpainting import InpaintingGAN, local_patches


@dataclass(frozen=True)
class BoxBatch(Batch):
    """A batch whose discriminator looks closely at a part of the image.

    Attributes:
        box: (N, 4) integers, top, left, height, width of that part; on the CPU.
    """

    box: Tensor | None = None


@MODELS.register_module()
class MRGLInpaintor(InpaintingGAN, GLInpaintor):
    """Global&Local inpainting (GLCIC) with K samples per input and losses on them.

    The samples that are shown and judged equal the input outside the hole; losses and
    moments count inside it alone. Losses on the samples replace ``loss_l1_hole`` and
    ``loss_l1_valid``. The gradient penalty, total variation and perceptual terms,
    which MMagic's own class takes and ignores, are refused.

    Args:
        kwargs: Those of `MomentGAN`, `MomentReconstruction` and MMagic's
            ``GLInpaintor``. In ``train_cfg``, ``iter_tc`` and ``iter_td`` (iterations
            of the generator without the discriminator, and the last of those of the
            discriminator alone) and ``local_size`` are as there; without ``train_cfg``
            both networks train from the start, and ``mask_bbox`` is what the local
            discriminator sees.

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

    mmagic_class = GLInpaintor
    discriminator_weight = 0.5  # the authors'
    size_multiple = 4
    used_arguments = (
        'data_preprocessor',
        'encdec',
        'disc',
        'loss_gan',
        'loss_disc_shift',
        'train_cfg',
        'test_cfg',
        'init_cfg',
    )
    noise_presets = MappingProxyType(
        {
            'glcic': {
                r'encoder\.enc6\.conv': 32,
                r'dilation_neck\.dilation_convs\.[01]\.conv': 32,
            }
        }
    )

    def make_batch(self, data: dict) -> BoxBatch:
        batch = super().make_batch(data)
        box = data['data_samples'].metainfo.get('mask_bbox')
        box = None if box is None else torch.from_numpy(np.asarray(box))
        return BoxBatch(**vars(batch), box=box)

    def discriminate(self, network: nn.Module, batch: Batch, images: Tensor) -> Tensor:
        if batch.box is None:
            raise UserError(
                'the local discriminator needs the box around the hole: let the '
                'pipeline set mask_bbox (RandomHole, FillHole and LoadMask do)'
            )
        size = (self.train_cfg or {}).get('local_size')
        patches = local_patches(images, batch.box, size)
        return network((images.flatten(0, 1), patches.flatten(0, 1)))

    def is_adversarial(self, iteration: int) -> bool:
        return self._place(iteration) > 0

    def generator_turn(self, iteration: int) -> int | None:
        place = self._place(iteration)
        if place <= 0 or self.train_cfg is None:
            return iteration
        alone = self.train_cfg.iter_td - self.train_cfg.iter_tc
        turn, waiting = divmod(place, self.train_cfg.disc_step)
        return turn if place > alone and not waiting else None

    def _place(self, iteration: int) -> int:
        """Updates of the discriminator until this iteration, as MMagic counts."""
        config = self.train_cfg
        if config is None:
            return iteration + 1
        if not config.disc_step:
            return 0
        return config.get('start_iter', 0) + iteration - config.iter_tc
