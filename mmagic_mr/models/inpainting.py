"""What hosts that fill holes share."""

from dataclasses import replace

import torch
from torch import Tensor

from mmagic_mr.checks import Natural, check_kind
from mmagic_mr.data.image_inputs import HoleInput
from mmagic_mr.errors import UserError
from mmagic_mr.functional import process_mean
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.gan import MomentGAN
from mmagic_mr.models.host_terms import pixel_loss
from mmagic_mr.models.reconstruction import MomentReconstruction


class Inpainting(MomentReconstruction):
    """An image with a hole and its mask in, images without a hole out."""

    generator_arg = 'encdec'
    image_input = HoleInput()
    reconstruction_terms = ('loss_l1_hole', 'loss_l1_valid')

    def make_condition(self, x: Tensor) -> Batch:
        if x.shape[1] != 4:
            raise UserError(
                'inpainting takes the image with its hole filled and the mask (1 in '
                f'the hole), 4 channels: got {x.shape[1]}'
            )
        image, mask = x[:, :3], x[:, 3:]
        joined = torch.cat([self.normalize(image), mask], 1)
        return Batch(joined, mask=mask, known=image)

    def make_batch(self, data: dict) -> Batch:
        samples = data['data_samples']
        condition = self.make_condition(torch.cat([data['inputs'], samples.mask], 1))
        return replace(condition, y=samples.get('gt_img'))

    def host_losses(self, batch: Batch, samples: Tensor) -> dict[str, Tensor]:
        losses = {}
        if self.with_l1_hole_loss:
            losses['loss_l1_hole'] = pixel_loss(self.loss_l1_hole, batch, samples)
        if self.with_l1_valid_loss:
            valid = replace(batch, mask=1 - batch.mask)
            losses['loss_l1_valid'] = pixel_loss(self.loss_l1_valid, valid, samples)
        return losses


class InpaintingGAN(MomentGAN, Inpainting):
    """With one discriminator, trained as MMagic's plain inpaintors train it.

    ``train_cfg.disc_step`` batches make an update of the discriminator each, and the
    last of them one of the generator.
    """

    discriminator_name = 'disc'
    gan_loss_name = 'loss_gan'
    discriminator_weight = 1.0

    def discriminator_losses(
        self, batch: Batch, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        losses = super().discriminator_losses(batch, real, fake)
        if self.with_disc_shift_loss:  # of the losses, as MMagic has it
            means = [process_mean(loss) for loss in losses.values()]
            shifts = [self.loss_disc_shift(mean) for mean in means]
            losses['loss_disc_shift'] = sum(shifts) / 2
        return losses

    def generator_turn(self, iteration: int) -> int | None:
        steps = (self.train_cfg or {}).get('disc_step', 1)
        check_kind('train_cfg: disc_step', steps, Natural)
        if self.adversarial and not steps:
            raise UserError(
                'train_cfg.disc_step is 0, and the generator has a GAN loss of a '
                'discriminator that would never be trained: set it to 1, or take disc '
                'and loss_gan out'
            )
        turn, waiting = divmod(iteration + 1, max(steps, 1))
        return None if waiting else turn - 1


def local_patches(
    samples: Tensor, boxes: Tensor, size: tuple[int, int] | None = None
) -> Tensor:
    """Patches around boxes, one place for the K samples of an input.

    As MMagic's ``extract_around_bbox``, but a patch at the border of the image is moved
    inside, where that one would be cut off.

    Args:
        samples: Images.
        boxes: Top, left, height, width, in pixels; on the CPU.
        size: Height and width of the patches; None: the boxes'.

    Raises:
        UserError: The patch is larger than the image.

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
            raise UserError(
                f'the local patch of {w}x{h} is larger than the image of '
                f'{width}x{height}: make train_cfg.local_size smaller'
            )
        top = min(max(top - (h - box_h) // 2, 0), height - h)
        left = min(max(left - (w - box_w) // 2, 0), width - w)
        patches.append(images[..., top : top + h, left : left + w])
    return torch.stack(patches)
