"""The convolutions of AlexNet, for whoever looks at features of images."""

from os import PathLike

import torch
from torch import Tensor, nn

from mmagic_mr.networks.backbone import load_backbone

# Where LPIPS looks: after the rectifier of each convolution
LAYERS = (1, 4, 7, 9, 11)
LEAST_SIDE = 32  # in pixels; of a smaller image nothing is left


class ImageNetScale(nn.Module):
    """Colors in [0, 1] as networks for ImageNet take them."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Buffers: numbers would be sent to the device in each call, which waits for it
        for name, value in (
            ('mean', [0.485, 0.456, 0.406]),
            ('std', [0.229, 0.224, 0.225]),
        ):
            channels = torch.tensor(value).view(3, 1, 1)
            self.register_buffer(name, channels, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


def alexnet_trunk(
    path: str | PathLike[str] | None = None, layers: int = 5
) -> tuple[nn.Sequential, str]:
    """The first convolutions of AlexNet with the weights of a file, frozen.

    Args:
        path: see `load_backbone`.
        layers: how many, 1 to 5.

    Returns:
        (RGB in [0, 1] to the features of the last of them, hash of the weights).

    Shape:
        (N, 3, H, W) to (N, C, h, w); C is 64, 192, 384, 256, 256.

    Raises:
        BackboneMissing: there is no such file.
    """
    from torchvision.models import alexnet

    state, digest = load_backbone('alex', path)
    with torch.device('meta'):  # neither drawn nor stored: the file has the values
        convolutions = alexnet(weights=None).features[:12]
    weights = {key.removeprefix('features.'): value for key, value in state.items()}
    convolutions.load_state_dict(weights, assign=True)
    trunk = nn.Sequential(ImageNetScale(), convolutions[: LAYERS[layers - 1] + 1])
    return trunk.requires_grad_(False).eval(), digest
