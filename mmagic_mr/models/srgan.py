"""SRGAN that draws many samples."""

from torch import Tensor

from mmagic_mr.host import MODELS, SRGAN
from mmagic_mr.models.base import Batch, MomentReconstruction, _unwrapped


class _SRGAN(SRGAN):
    """MMagic's, which cannot be built without a pixel loss."""

    def __init__(self, *, pixel_loss: dict | None = None, **kwargs):
        super().__init__(pixel_loss=pixel_loss or dict(type='L1Loss'), **kwargs)
        if pixel_loss is None:
            # Deleted first: DDP stumbles over a module that is None.
            del self.pixel_loss
            self.pixel_loss = None


@MODELS.register_module()
class MRSRGAN(MomentReconstruction, _SRGAN):
    """SRGAN with K samples per input and a moment reconstruction loss.

    ``mr_loss`` replaces ``pixel_loss`` and ``perceptual_loss``; what is replaced is not
    built either (MMagic's perceptual loss downloads a VGG19).

    Args:
        kwargs: those of :class:`MomentReconstruction` and of MMagic's ``SRGAN``.

    Raises:
        ValueError: ``disc_repeat`` above 1; in training, an enlargement of the data
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

    reconstruction_terms = ('pixel_loss', 'perceptual_loss')
    evaluation = {'SampleReconstruction': {'low_key': 'input'}}  # noqa: RUF012

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        if self.disc_repeat > 1:
            raise ValueError(
                f'train_cfg.disc_repeat is {self.disc_repeat}, and one batch serves '
                'one update of the discriminator here: take it out, and set '
                'gen_updates_per_disc for the ratio of the updates'
            )

    def make_batch(self, data: dict) -> Batch:
        inputs = data['inputs']
        y = data['data_samples'].get('gt_img')
        if y is not None:
            self._check_scale(inputs, y)
        return Batch(self.whiten(inputs), y)

    def _check_scale(self, x: Tensor, y: Tensor) -> None:
        scale = getattr(_unwrapped(self.generator), 'upscale_factor', None)
        (height, width), (y_height, y_width) = x.shape[-2:], y.shape[-2:]
        if scale and (y_height, y_width) != (scale * height, scale * width):
            raise ValueError(
                f'the network enlarges {scale} times, and the data pairs '
                f'{width}x{height} with {y_width}x{y_height}: set '
                'generator.upscale_factor, or prepare the data with that scale'
            )

    def is_generator_turn(self, iteration: int) -> bool:
        return iteration % self.disc_steps == 0 and iteration >= self.disc_init_steps

    def host_losses(self, batch: Batch, samples: Tensor) -> dict:
        losses = {}
        if self.pixel_loss is not None:
            losses['loss_pix'] = self.pixel_loss_of(self.pixel_loss, batch, samples)
        if self.perceptual_loss is not None:
            y = batch.y.repeat_interleave(samples.shape[1], 0)
            terms = self.perceptual_loss(samples.flatten(0, 1), y)
            for name, term in zip(
                ('loss_perceptual', 'loss_style'), terms, strict=True
            ):
                if term is not None:
                    losses[name] = term
        return losses
