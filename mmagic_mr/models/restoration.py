"""What hosts with a network from image to image share: super-resolution and its kin."""

from collections.abc import Mapping
from types import MappingProxyType

from torch import Tensor

from mmagic_mr.data.image_inputs import SmallImageInput
from mmagic_mr.errors import UserError
from mmagic_mr.host import unwrap
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.host_terms import pixel_loss
from mmagic_mr.models.reconstruction import MomentReconstruction


class OptionalPixelLoss:
    """Before MMagic's ``BaseEditModel``, which cannot be built without a pixel loss."""

    def __init__(self, *, pixel_loss: dict | None = None, **kwargs):
        super().__init__(pixel_loss=pixel_loss or dict(type='L1Loss'), **kwargs)
        if pixel_loss is None:
            # Deleted first: DDP stumbles over a module that is None.
            del self.pixel_loss
            self.pixel_loss = None


class Restoration(MomentReconstruction):
    """Images in, larger or better images out; the target is ``gt_img``."""

    noise_presets = MappingProxyType(
        {
            # The input of each residual block (thesis, appendix B).
            'srgan': {r'trunk_net\.\d+\.conv1': 16},
            # The same place in other networks of MMagic.
            'edsr': {r'body\.\d+\.conv1': 16},
            'rrdb': {r'body\.\d+\.rdb1\.conv1': 16},
            # Its decoder, where StyleGAN's features come in.
            'glean': {r'decoder\.\d+\.upsample_conv': 16},
        }
    )
    image_input = SmallImageInput()
    # An honest super-resolution reduces to its input: PSNR of that.
    evaluation: Mapping[str, dict] = MappingProxyType(
        {'SampleReconstruction': {'low_key': 'input'}}
    )

    def make_batch(self, data: dict) -> Batch:
        inputs = data['inputs']
        y = data['data_samples'].get('gt_img')
        if y is not None:
            self._check_scale(inputs, y)
        return Batch(self.normalize(inputs), y)

    def _check_scale(self, x: Tensor, y: Tensor) -> None:
        scale = getattr(unwrap(self.generator), 'upscale_factor', None)
        (height, width), (y_height, y_width) = x.shape[-2:], y.shape[-2:]
        if scale and (y_height, y_width) != (scale * height, scale * width):
            raise UserError(
                f'the network enlarges {scale} times, and the data pairs '
                f'{width}x{height} with {y_width}x{y_height}: set '
                'generator.upscale_factor, or prepare the data with that scale'
            )

    def host_losses(self, batch: Batch, samples: Tensor) -> dict[str, Tensor]:
        losses = {}
        if self.pixel_loss is not None:
            losses['loss_pix'] = pixel_loss(self.pixel_loss, batch, samples)
        return losses
