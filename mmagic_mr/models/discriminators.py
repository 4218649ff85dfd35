"""A discriminator of images of any size."""

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmagic_mr.checks import Count, checked
from mmagic_mr.host import MODELS


@MODELS.register_module()
class PooledVGG(BaseModule):
    """SRGAN's discriminator with pooling where the original has a flat layer.

    Four stages of two convolutions, the second with stride 2, channels 1, 2, 4, 8 times
    ``mid_channels``; then the mean over the image and two fully connected layers. As in
    the authors' code. MMagic's ``ModifiedVGG`` takes 128x128 alone.

    Args:
        in_channels: of the image.
        mid_channels: of the first stage.

    Shape:
        (N, C, H, W) to logits (N, 1).

    Reference:
        Ledig et al., CVPR 2017, figure 4; Lee et al., ICLR 2019, appendix B.

    Example:
        >>> import torch
        >>> PooledVGG(mid_channels=4)(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 1])
    """

    @checked
    def __init__(self, in_channels: Count = 3, mid_channels: Count = 64):
        super().__init__()
        layers, channels = [], in_channels
        for stage in range(4):
            width = mid_channels * 2**stage
            for stride in 1, 2:
                layers.append(nn.Conv2d(channels, width, 3, stride, 1))
                if len(layers) > 1:
                    layers.append(nn.BatchNorm2d(width))
                layers.append(nn.LeakyReLU(0.2, inplace=True))
                channels = width
        self.features = nn.Sequential(*layers)
        self.verdict = nn.Sequential(
            nn.Linear(channels, 2 * channels),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(2 * channels, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.verdict(self.features(images).mean((2, 3)))
