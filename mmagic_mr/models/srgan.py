"""SRGAN that draws many samples."""

from types import MappingProxyType

from torch import Tensor

from mmagic_mr.errors import UserError
from mmagic_mr.host import MODELS, SRGAN
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.gan import MomentGAN
from mmagic_mr.models.host_terms import perceptual_losses
from mmagic_mr.models.restoration import OptionalPixelLoss, Restoration


@MODELS.register_module()
class MRSRGAN(MomentGAN, Restoration, OptionalPixelLoss, SRGAN):
    """SRGAN with K samples per input and losses on the samples.

    They replace ``pixel_loss`` and ``perceptual_loss``; what is replaced is not built
    either (MMagic's perceptual loss downloads a VGG19).
    ``keep=dict(perceptual_loss='mean')`` leaves the latter, on the mean of the features
    over the samples.

    Args:
        kwargs: Those of `MomentGAN`, `MomentReconstruction` and MMagic's ``SRGAN``.

    Raises:
        UserError: ``disc_repeat`` above 1; in training, an enlargement of the data
            that is not the network's.

    Reference:
        Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative
        Adversarial Network", CVPR 2017; Lee et al., ICLR 2019.

    Example:
        >>> import torch
        >>> from mmengine.registry import init_default_scope
        >>> init_default_scope('mmagic')
        >>> network = dict(type='MSRResNet', in_channels=3, out_channels=3)
        >>> model = MRSRGAN(generator=network, noise='srgan')
        >>> model.sample(torch.zeros(2, 3, 16, 16), num_samples=5).shape
        torch.Size([2, 5, 3, 64, 64])
    """

    mmagic_class = SRGAN
    reconstruction_terms = ('pixel_loss', 'perceptual_loss')
    perceptual_terms = MappingProxyType({'perceptual_loss': 'perceptual_loss'})
    used_arguments = (
        'generator',
        'discriminator',
        'gan_loss',
        'train_cfg',
        'test_cfg',
        'init_cfg',
        'data_preprocessor',
    )

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        if self.disc_repeat > 1:
            raise UserError(
                f'train_cfg.disc_repeat is {self.disc_repeat}, and one batch serves '
                'one update of the discriminator here: take it out, and set '
                'gen_updates_per_disc for the ratio of the updates'
            )

    def generator_turn(self, iteration: int) -> int | None:
        if iteration % self.disc_steps or iteration < self.disc_init_steps:
            return None
        return iteration // self.disc_steps

    def host_losses(self, batch: Batch, samples: Tensor) -> dict[str, Tensor]:
        losses = super().host_losses(batch, samples)
        if self.perceptual_loss is not None:
            target = self.perceptual_target(batch)
            names = 'loss_perceptual', 'loss_style'
            losses |= perceptual_losses(self.perceptual_loss, samples, target, names)
        return losses

    def perceptual_target(self, batch: Batch) -> Tensor:
        """What the features are compared with, (N, C, H, W)."""
        return batch.y
