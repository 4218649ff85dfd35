"""Features of images for FID and its like: any that torch-fidelity knows, and ours.

An extractor is a class in torch-fidelity's registry; ours are registered there on
import. A user's own, registered by ``torch_fidelity.register_feature_extractor``, works
in the same way.
"""

import hashlib
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import (
    FEATURE_EXTRACTORS_REGISTRY,
    register_feature_extractor,
)

from mmagic_mr.checks import Count, checked
from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.networks.backbone import TRUNKS
from mmagic_mr.networks.trunk import alexnet_trunk

# From [0, 1] to what a network takes
INPUTS = {
    'uint8': lambda x: (x * 255).round().to(torch.uint8),
    '0..1': lambda x: x,
    '-1..1': lambda x: 2 * x - 1,
    '0..255': lambda x: x * 255,
}


class Extractor(nn.Module):
    """Features of images, and the name to print beside every number made from them.

    Args:
        kind: name in torch-fidelity's registry. Ours: 'alex': the AlexNet trunk of
            `tools/fetch_backbone.py`, its last layer averaged over the image (256
            features); 'torchscript': a local file, such as the
            `inception-2015-12-05.pt` of StyleGAN's authors; 'random': a stand-in for
            tests, untrained. Theirs ('inception-v3-compat', 'vgg16', ...) download
            their weights where there is no `path`; ours never do.
        path: file of weights; for 'alex' None means the cache.
        size: side to which images are resized (bilinear, antialiased) first; None: as
            they are.
        input: what the network takes: 'uint8', '0..1', '-1..1', '0..255'; None: what
            the extractor says, for torch-fidelity's own 'uint8'.
        name: what to print; None: derived from kind and file.
        chunk: images in one forward pass.

    Shape:
        (N, 3, H, W), RGB in [0, 1], to (N, D), float64 on the CPU.

    Raises:
        BackboneMissing, MissingFileError: the file is not there.
        UserError: an unknown kind or input.

    Example:
        >>> extractor = Extractor('random')
        >>> extractor(torch.rand(2, 3, 32, 32)).shape, extractor.name
        (torch.Size([2, 64]), 'random-convolutions-stand-in')
    """

    @checked
    def __init__(
        self,
        kind: str = 'alex',
        path: str | PathLike | None = None,
        size: Count | None = None,
        input: str | None = None,
        name: str | None = None,
        chunk: Count = 32,
    ):
        super().__init__()
        if kind not in FEATURE_EXTRACTORS_REGISTRY:
            raise UserError(
                f'extractor kind={kind!r}; there are '
                f'{", ".join(sorted(FEATURE_EXTRACTORS_REGISTRY))}'
            )
        cls = FEATURE_EXTRACTORS_REGISTRY[kind]
        layer = cls.get_default_feature_layer_for_metric('fid')
        self.network = cls(kind, [layer], feature_extractor_weights_path=path)
        self.input = str(input or getattr(self.network, 'input', 'uint8'))
        if self.input not in INPUTS:
            raise UserError(f'extractor input={input!r}; there are {sorted(INPUTS)}')
        file = f'-{_file_hash(path)}' if path else ''
        self.name = name or getattr(self.network, 'print_name', f'{kind}{file}')
        self.size, self.chunk = size, chunk
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        features = []
        for part in images.split(self.chunk):
            if self.size and part.shape[-2:] != (self.size, self.size):
                part = F.interpolate(
                    part, (self.size, self.size), mode='bilinear', antialias=True
                ).clamp(0, 1)
            (found,) = self.network(INPUTS[self.input](part))
            features.append(found.flatten(1).double().cpu())
        return torch.cat(features)


class _LocalExtractor(FeatureExtractorBase):
    """What ours share: one kind of features, from a local file or none.

    torch-fidelity's interface hands over images as uint8; `Extractor` hands over those
    of `input`, without rounding.
    """

    input: str
    print_name: str
    network: nn.Module

    @staticmethod
    def get_provided_features_list():
        return ('features',)

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return 'features'

    @staticmethod
    def can_be_compiled():
        return False

    def forward(self, images: Tensor) -> tuple[Tensor]:
        if images.dtype == torch.uint8 and self.input != 'uint8':
            images = INPUTS[self.input](images.float() / 255)
        return (self.network(images),)


class AlexNetFeatures(_LocalExtractor):
    """The last convolution of AlexNet, averaged over the image."""

    input = '0..1'

    def __init__(
        self, name, features_list, feature_extractor_weights_path=None, **kwargs
    ):

        super().__init__(name, features_list)
        layers, digest = alexnet_trunk(feature_extractor_weights_path)
        self.network = nn.Sequential(*layers, *_global_mean())
        known = digest == TRUNKS['alex'].content
        trunk = 'alexnet' if known else f'alexnet-{digest[:8]}'
        self.print_name = f'{trunk}-conv5-mean'


class TorchScriptFeatures(_LocalExtractor):
    """What a network saved by torch.jit gives for images, as uint8 if not said."""

    input = 'uint8'

    def __init__(
        self, name, features_list, feature_extractor_weights_path=None, **kwargs
    ):
        super().__init__(name, features_list)
        path = feature_extractor_weights_path
        if path is None or not Path(path).is_file():
            raise MissingFileError(
                f"extractor: path={path!r} is no file; kind='torchscript' needs "
                'path=FILE, a network saved by torch.jit'
            )
        self.network = torch.jit.load(str(path), map_location='cpu')
        self.print_name = f'{Path(path).stem}-{_file_hash(path)}'


class RandomFeatures(_LocalExtractor):
    """Two untrained convolutions, the same each time: a stand-in for tests."""

    input = '-1..1'
    print_name = 'random-convolutions-stand-in'

    def __init__(self, name, features_list, **kwargs):
        super().__init__(name, features_list)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = nn.Sequential(
                nn.Conv2d(3, 32, 4, 2, 1),
                nn.ReLU(),
                nn.Conv2d(32, 64, 4, 2, 1),
                nn.ReLU(),
                *_global_mean(),
            )


def _global_mean():
    return nn.AdaptiveAvgPool2d(1), nn.Flatten()


def _file_hash(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:8]


register_feature_extractor('alex', AlexNetFeatures)
register_feature_extractor('torchscript', TorchScriptFeatures)
register_feature_extractor('random', RandomFeatures)
