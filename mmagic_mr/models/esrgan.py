"""ESRGAN, whose discriminator is relativistic, that draws many samples."""

from torch import Tensor

from mmagic_mr.functional import process_mean
from mmagic_mr.host import ESRGAN, MODELS
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.srgan import MRSRGAN


@MODELS.register_module()
class MRESRGAN(MRSRGAN, ESRGAN):
    """ESRGAN with K samples per input and losses on the samples.

    Its discriminator says whether an image is more real than the average of the other
    kind: from the logits of samples the mean logit of the targets is subtracted, and
    from those of the targets the mean over all samples of all inputs.

    Args:
        kwargs: Those of `MRSRGAN`; noise preset of its network: ``'rrdb'``.

    Reference:
        Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial
        Networks", ECCV Workshops 2018; Lee et al., ICLR 2019.

    Example:
        >>> import torch
        >>> from mmengine.registry import init_default_scope
        >>> init_default_scope('mmagic')
        >>> network = dict(type='RRDBNet', in_channels=3, out_channels=3,
        ...                mid_channels=4, num_blocks=1, growth_channels=4)
        >>> model = MRESRGAN(generator=network, noise='rrdb')
        >>> model.sample(torch.zeros(1, 3, 8, 8), num_samples=2).shape
        torch.Size([1, 2, 3, 32, 32])
    """

    mmagic_class = ESRGAN
    discriminator_weight = 1.0  # the halves are in its terms

    def adversarial_loss(self, batch: Batch, images: Tensor) -> Tensor:
        network = self.bare_discriminator
        targets = self.real_images(batch).unsqueeze(1)
        real = self.logits(network, batch, targets).detach()
        fake = self.logits(network, batch, images)
        real_mean, fake_mean = process_mean(real.mean()), process_mean(fake.mean())
        loss_fake = self.gan_loss(fake - real_mean, True, is_disc=False)
        loss_real = self.gan_loss(real - fake_mean, False, is_disc=False)
        return (loss_fake + loss_real) / 2

    def discriminator_losses(
        self, batch: Batch, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        fake = self.logits(self.discriminator, batch, fake)
        real = self.logits(self.discriminator, batch, real)
        real_mean, fake_mean = (
            process_mean(logits.mean()).detach() for logits in (real, fake)
        )
        loss_real = self.gan_loss(real - fake_mean, True, is_disc=True)
        loss_fake = self.gan_loss(fake - real_mean, False, is_disc=True)
        return dict(loss_d_real=loss_real / 2, loss_d_fake=loss_fake / 2)
