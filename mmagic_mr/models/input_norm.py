"""Standardization of the generator's input, as the paper has it for Pix2Pix."""

import torch
from torch import Tensor, nn

from mmagic_mr.checks import Color, checked
from mmagic_mr.errors import UserError
from mmagic_mr.host import normalization


class InputNorm(nn.Module):
    """x as the data preprocessor gives it, to zero mean and unit variance.

    MMagic's preprocessor has one mean and one standard deviation for all images, and
    only the input is standardized.

    Args:
        mean: Of the input, red, green, blue, in [0, 1].
        std: Likewise.
        preprocessor: MMagic's, whose range and channel order x is in.

    Shape:
        (N, C, H, W) to the same.

    Raises:
        UserError: A value that is not finite, a ``std`` that is not positive, or
            statistics of 0..255.
    """

    @checked
    def __init__(self, mean: Color, std: Color, preprocessor):
        super().__init__()
        mean_, std_ = (
            torch.tensor(v, dtype=torch.float32).view(-1, 1, 1) for v in (mean, std)
        )
        if not (std_ > 0).all():
            raise UserError(f'input_norm: std must be positive, got std={std}')
        if mean_.abs().max() > 1 or std_.max() > 1:
            raise UserError(
                f'input_norm is for colors in [0, 1], got mean={mean}, std={std}: '
                'divide by 255'
            )
        if preprocessor.output_channel_order != 'RGB':
            mean_, std_ = mean_.flip(0), std_.flip(0)
        # In the preprocessor's range: (255 v - its mean) / its std.
        scale = normalization(preprocessor)
        if scale is not None:
            mean_ = (255 * mean_ - scale[0]) / scale[1]
            std_ = 255 * std_ / scale[1]
        # Set by the config: a checkpoint neither needs nor overrides them.
        self.register_buffer('mean', mean_, persistent=False)
        self.register_buffer('std', std_, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std
