"""AOT-GAN inpainting that draws many samples."""

from collections.abc import Collection
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor

from mmagic_mr.checks import checked
from mmagic_mr.errors import UserError
from mmagic_mr.host import MODELS, AOTInpaintor
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.host_terms import perceptual_losses, pixel_loss
from mmagic_mr.models.inpainting import InpaintingGAN


@MODELS.register_module()
class MRAOTInpaintor(InpaintingGAN, AOTInpaintor):
    """AOT-GAN with K samples per input and losses on the samples.

    They count inside the hole, and replace ``loss_l1_valid``, which MMagic takes over
    the whole image here, and ``loss_composed_percep`` with ``loss_out_percep``, its
    perceptual and style terms of the network's own output;
    ``keep=dict(loss_composed_percep='mean')`` leaves these, on the mean of the features
    over the samples. The discriminator says of each patch how much of it is made; its
    loss gets the mask.

    Args:
        loss_composed_percep: Config of the perceptual loss; used with
            ``loss_out_percep=True``, as by MMagic's class.
        loss_out_percep: Whether there are perceptual terms.
        kwargs: Those of `MomentGAN`, `MomentReconstruction` and MMagic's
            ``AOTInpaintor``. ``loss_l1_hole``, ``loss_tv``, ``loss_gp`` and
            ``loss_disc_shift``, which that one takes and ignores, are refused.

    ``sample`` and ``predict_moments`` take 4 channels: the image with its hole filled,
    and the mask, 1 in the hole.

    Raises:
        UserError: One of the two perceptual arguments without the other.

    Reference:
        Zeng et al., "Aggregated Contextual Transformations for High-Resolution Image
        Inpainting", TVCG 2022; Lee et al., ICLR 2019.

    Example:
        >>> from mmengine.registry import init_default_scope
        >>> init_default_scope('mmagic')
        >>> parts = dict(
        ...     encoder=dict(type='AOTEncoder', mid_channels=4, out_channels=16),
        ...     dilation_neck=dict(type='AOTBlockNeck', in_channels=16, num_aotblock=2),
        ...     decoder=dict(type='AOTDecoder', in_channels=16, mid_channels=8))
        >>> model = MRAOTInpaintor(
        ...     data_preprocessor=None,
        ...     encdec=dict(type='AOTEncoderDecoder', **parts),
        ...     noise='aot',
        ... )
        >>> image, mask = torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
        >>> model.sample(torch.cat([image, mask], 1), num_samples=5).shape
        torch.Size([1, 5, 3, 64, 64])
    """

    mmagic_class = AOTInpaintor
    reconstruction_terms = ('loss_l1_valid', 'loss_composed_percep')
    perceptual_terms = MappingProxyType({'loss_composed_percep': 'loss_percep'})
    size_multiple = 4
    used_arguments = (
        'data_preprocessor',
        'encdec',
        'disc',
        'loss_gan',
        'loss_out_percep',
        'train_cfg',
        'test_cfg',
        'init_cfg',
    )
    noise_presets = MappingProxyType(
        {
            'aot': {
                r'encoder\.encoder\.3\.conv': 32,
                r'dilation_neck\.model\.[01]\.fuse\.1\.conv': 32,
            }
        }
    )

    @checked
    def __init__(
        self,
        *,
        loss_composed_percep: dict | None = None,
        loss_out_percep: bool = False,
        **kwargs,
    ):
        if (loss_composed_percep is not None) != loss_out_percep:
            raise UserError(
                f'loss_out_percep={loss_out_percep} with loss_composed_percep='
                f'{loss_composed_percep}: the perceptual terms need loss_out_percep='
                'True and, in loss_composed_percep, their config; give both or neither'
            )
        super().__init__(
            loss_composed_percep=loss_composed_percep,
            loss_out_percep=loss_out_percep,
            **kwargs,
        )

    def drop_reconstruction(self, host: dict, keep: Collection[str]) -> list[str]:
        dropped = super().drop_reconstruction(host, keep)
        if host.get('loss_composed_percep') is None:
            host['loss_out_percep'] = False
        return dropped

    def make_condition(self, x: Tensor) -> Batch:
        batch = super().make_condition(x)
        image = batch.x[:, :3] + batch.mask  # the hole is white
        return replace(batch, x=torch.cat([image, batch.mask], 1))

    def host_losses(self, batch: Batch, samples: Tensor) -> dict[str, Tensor]:
        losses = {}
        if self.with_l1_valid_loss:
            whole = replace(batch, mask=None)
            losses['loss_l1_valid'] = pixel_loss(self.loss_l1_valid, whole, samples)
        if self.with_out_percep_loss:
            names = 'loss_out_percep', 'loss_out_style'
            losses |= perceptual_losses(self.loss_percep, samples, batch.y, names)
        return losses

    def adversarial_loss(self, batch: Batch, images: Tensor) -> Tensor:
        logits = self.logits(self.bare_discriminator, batch, images)
        return self._judgement(batch, logits, True, is_disc=False)

    def discriminator_losses(
        self, batch: Batch, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        real = self.logits(self.disc, batch, real)
        fake = self.logits(self.disc, batch, fake)
        return dict(
            loss_d_real=self._judgement(batch, real, True, is_disc=True),
            loss_d_fake=self._judgement(batch, fake, False, is_disc=True),
        )

    def _judgement(self, batch: Batch, logits: Tensor, real: bool, is_disc: bool):
        mask = batch.mask.repeat_interleave(len(logits) // len(batch.mask), 0)
        return self.loss_gan(logits, real, is_disc, mask=mask)
