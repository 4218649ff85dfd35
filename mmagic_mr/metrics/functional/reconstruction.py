"""Does one of the samples hit the target?"""

from torch import Tensor
from torch.nn import functional as F

from mmagic_mr.errors import UserError


def psnr(images: Tensor, target: Tensor) -> Tensor:
    r"""Peak signal-to-noise ratio in dB; identical images count as 100 dB.

    .. math:: -10 \log_{10} \overline{(s - y)^2}

    Shape:
        images (K, C, H, W), target (C, H, W), in [0, 1]; result (K,).

    Example:
        >>> import torch
        >>> psnr(torch.full((1, 3, 2, 2), 0.1), torch.zeros(3, 2, 2)).round()
        tensor([20.])
    """
    error = ((images.double() - target.double()) ** 2).flatten(1).mean(1)
    return -10 * error.clamp(min=1e-10).log10().float()


def low_resolution_psnr(images: Tensor, low: Tensor) -> Tensor:
    """PSNR between each image, reduced again, and the low-resolution input.

    An honest super-resolution reduces to what it was given, whatever details it adds.
    Reduced by bicubic interpolation with antialiasing (as Pillow and MATLAB do),
    clamped to [0, 1], not rounded.

    Shape:
        images (K, C, H, W), low (C, h, w), in [0, 1]; result (K,).

    Raises:
        UserError: `low` is not smaller than the images.
    """
    if low.shape[-2] >= images.shape[-2] or low.shape[-1] >= images.shape[-1]:
        raise UserError(
            f'the low-resolution input is {tuple(low.shape[-2:])} and the '
            f'samples are {tuple(images.shape[-2:])}: not smaller'
        )
    reduced = F.interpolate(
        images.float(), low.shape[-2:], mode='bicubic', antialias=True
    ).clamp(0, 1)
    return psnr(reduced, low)


def best_and_mean(values: Tensor, larger_is_better: bool) -> tuple[float, float]:
    """Best of K and mean of K.

    Example:
        >>> import torch
        >>> best_and_mean(torch.tensor([1., 2., 6.]), larger_is_better=False)
        (1.0, 3.0)
    """
    best = values.max() if larger_is_better else values.min()
    return best.item(), values.mean().item()
