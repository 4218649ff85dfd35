"""WGAN-GP: a discriminator whose slope between real and fake images is near 1."""

from collections.abc import Callable

import torch
from torch import Tensor


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    share: Tensor,
    mask: Tensor | None = None,
) -> Tensor:
    """Mean over the images of (norm of the critic's gradient - 1)^2.

    Taken at a random place between a real and a fake image. Where the critic judges
    patches, its word on an image is the mean over them, as in the GAN loss. In float32
    or float64, whatever autocast says.

    Args:
        critic: Images to logits, a row for each image; MMagic's ``GradientPenaltyLoss``
            takes the sum over patches, and the norm in each pixel.
        real: Images.
        fake: Images that answer the same inputs.
        share: Of the real image in the place between, from 0 to 1.
        mask: 1 where the images may differ: only there is the gradient looked at.

    Shape:
        real, fake (N, ...); share (N,); mask such that gradient * mask broadcasts; the
        result is a scalar.

    Reference:
        Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017, eq. 3.

    Example:
        >>> real, fake = torch.rand(2, 4, 3, 8, 8)
        >>> steep = lambda images: 3 * images[:, 0, 0, 0]  # a gradient of norm 3
        >>> gradient_penalty(steep, real, fake, torch.rand(4)).item()
        4.0
    """
    with torch.autocast(real.device.type, enabled=False):
        kind = torch.promote_types(real.dtype, torch.float32)
        share = share.to(kind).view(-1, *[1] * (real.dim() - 1))
        between = (share * real + (1 - share) * fake).detach().requires_grad_()
        words = critic(between).reshape(len(between), -1).mean(1)
        (gradient,) = torch.autograd.grad(words.sum(), between, create_graph=True)
        if mask is not None:
            gradient = gradient * mask
        norms = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        return (norms - 1).square().mean()
