"""The view of images through the trunk of LPIPS."""

from functools import lru_cache, partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mmagic_mr.errors import UserError
from mmagic_mr.functional.views import Colors, View
from mmagic_mr.networks.backbone import backbone_path
from mmagic_mr.networks.trunk import LEAST_SIDE, alexnet_trunk

DEFAULT_LAYER = 2  # textures; at 32 x 32 pixels it still has 3 x 3 places
CHUNK = 16  # images at a time


class Features(View):
    """A layer of AlexNet's trunk, with features of unit length at each place, as LPIPS.

    Gradients reach the images, and never the trunk, which is in no checkpoint. Images
    go through it `CHUNK` at a time, and the backward pass computes each chunk again:
    beside the result, memory holds the activations of one chunk, 40 MB for images of
    256 x 256 in layer 2, whatever N and K are. The trunk itself, 10 MB, is there once.

    Args:
        name: 'features', which is layer 2, or 'features1' to 'features5': the five of
            LPIPS, with 64, 192, 384, 256 and 256 channels.

    Shape:
        (N, 3, H, W) to (N, C, h, w), of 128 x 128 pixels 15 x 15 places in layer 2.

    Raises:
        BackboneMissing: When built: the trunk was never fetched; says how to.
        UserError: When called, on images below 32 x 32, or not of 3 channels.

    Reference:
        Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual
        Metric, CVPR 2018.
    """

    linear = False
    local = False

    def __init__(self, name: str = 'features') -> None:
        self.name = name
        self.layer = int(name.removeprefix('features') or DEFAULT_LAYER)
        self.trunk = _trunk(str(backbone_path()), self.layer)
        self.colors = Colors()

    def told_colors(self, colors: Colors) -> None:
        self.colors = colors

    def __call__(self, images: Tensor) -> Tensor:
        if images.shape[-3] != 3 or min(images.shape[-2:]) < LEAST_SIDE:
            raise UserError(
                f'the view {self.name!r} takes images of 3 channels, {LEAST_SIDE} x '
                f'{LEAST_SIDE} pixels or more, got {tuple(images.shape[-3:])}: leave '
                'it out'
            )
        trunk = self.trunk.to(images.device)
        run = partial(_unit_features, trunk, self.colors)
        if torch.is_grad_enabled() and images.requires_grad:
            run = partial(checkpoint, run, use_reentrant=False)
        return torch.cat([run(part) for part in torch.split(images, CHUNK)])


def _unit_features(trunk: nn.Module, colors: Colors, images: Tensor) -> Tensor:
    with torch.autocast(images.device.type, enabled=False):
        found: Tensor = trunk(colors.to_rgb(images).float())
        return F.normalize(found, dim=1).to(images.dtype)


@lru_cache
def _trunk(path: str, layers: int) -> nn.Module:
    return alexnet_trunk(path, layers)[0]


FEATURE_VIEWS = {'features[1-5]?': lambda name: [Features(name)]}
