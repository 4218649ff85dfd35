"""Distance between images: LPIPS where its real network is there, named as it is.

Images are RGB in [0, 1], (N,3,H,W), throughout.
"""

import contextlib
import math
import warnings
from os import PathLike

import torch
from torch import Tensor, nn

from mmagic_mr.checks import Count, checked
from mmagic_mr.errors import UserError
from mmagic_mr.networks.backbone import TRUNKS, load_backbone

# LPIPS v0.1 of `known_images`, (a, b) and (a, a mirrored left-right): what a trunk has
# to give to be the published one, wherever it came from.
KNOWN_ANSWERS = {'alex': (0.4416, 0.3992), 'vgg': (0.8054, 0.6138)}


def known_images() -> tuple[Tensor, Tensor]:
    """The two 64x64 test images of `KNOWN_ANSWERS`, in [0, 1], (1,3,64,64) each."""
    i, j = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing='ij')
    a = torch.stack([i / 31.5 - 1, j / 31.5 - 1, (i + j) / 63 - 1])
    b = torch.stack([torch.sin(i / 5), torch.cos(j / 7), torch.sin((i - j) / 9)])
    return (a[None] + 1) / 2, (b[None] + 1) / 2


class PixelDistance:
    """Mean absolute difference in [0, 1]: a stand-in without any network.

    Example:
        >>> black, white = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
        >>> PixelDistance()(black, white).item()
        1.0
    """

    name = 'mean absolute difference'
    network = 'none'
    range = 'RGB in [0, 1]'

    def to(self, device):
        return self

    def __call__(self, a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
        difference = (a - b).abs()
        if mask is None:
            return difference.mean((1, 2, 3))
        mask = mask.expand_as(difference)
        return (difference * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3))

    def pairs(
        self, images: Tensor, pairs: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        return self(images[pairs[:, 0]], images[pairs[:, 1]], mask)


class PerceptualDistance(nn.Module):
    r"""LPIPS of the `lpips` package, on a trunk from a local file.

    .. math:: d(a, b) = \sum_l \operatorname{mean}_{hw}
              w_l \cdot (\hat f_l(a) - \hat f_l(b))^2

    Args:
        net: trunk, 'alex' or 'vgg'.
        version: '0.1', or '0.0' of the first preprint (no input scaling).
        backbone: None: the trunk in the cache; a path: that safetensors file;
            'random': an untrained trunk, for tests.
        chunk: images in one forward pass.

    Raises:
        BackboneMissing: the trunk was never fetched; says how to.

    `name` is 'LPIPS' only if the trunk is the published one, by its hash or by the
    known answers; any other one is called by what it is.

    Shape:
        images (N,3,H,W) in [0, 1], pairs (P,2) of indices; result (P,).

    Reference:
        Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual
        Metric, CVPR 2018.

    Example:
        >>> distance = PerceptualDistance(backbone='random')
        >>> a = torch.rand(1, 3, 64, 64)
        >>> distance(a, a).item(), distance.name
        (0.0, 'distance on a random alex trunk')
    """

    range = 'RGB in [-1, 1]'

    @checked
    def __init__(
        self,
        net: str = 'alex',
        version: str = '0.1',
        backbone: str | PathLike | None = None,
        chunk: Count = 32,
    ):
        super().__init__()
        if net not in TRUNKS:
            raise UserError(f'net={net!r}; there are {sorted(TRUNKS)}')
        if version not in ('0.0', '0.1'):
            raise UserError(f"version={version!r}; there are '0.0' and '0.1'")
        self.chunk = chunk
        state, digest = (
            (None, '') if backbone == 'random' else load_backbone(net, backbone)
        )
        self.model = _build(net, version, state)
        if state is None:
            self.name = f'distance on a random {net} trunk'
            self.network = f'random {net} trunk, lpips v{version} heads'
        elif digest == TRUNKS[net].content or _answers(net, state):
            self.name = 'LPIPS'
            self.network = f'{net} v{version}'
        else:
            self.name = f'distance on an unknown {net} trunk'
            self.network = f'unknown {net} trunk {digest[:8]}, lpips v{version} heads'

    @torch.no_grad()
    def features(self, images: Tensor) -> list[Tensor]:
        """Unit-length features of each layer, computed `chunk` images at a time."""
        from lpips import normalize_tensor

        if images.size(-1) < 32 or images.size(-2) < 32:
            raise UserError(
                f'images of {tuple(images.shape[-2:])} pixels are too '
                'small for this network; it takes 32x32 and larger'
            )
        layers = []
        for part in images.split(self.chunk):
            x = 2 * part.float() - 1
            if self.model.version == '0.1':
                x = self.model.scaling_layer(x)
            layers.append([normalize_tensor(f) for f in self.model.net(x)])
        return [torch.cat(layer) for layer in zip(*layers, strict=True)]

    def points(self, images: Tensor) -> Tensor:
        """Points whose squared Euclidean distances are those of the images.

        Shape:
            images (N,3,H,W) in [0, 1], all of one size, to (N,D).
        """
        layers = zip(self.features(images), self.model.lins, strict=True)
        found = [
            feature
            * (head.model[-1].weight / feature[0, 0].numel()).clamp(min=0).sqrt()
            for feature, head in layers
        ]
        return torch.cat([points.flatten(1) for points in found], 1)

    @torch.no_grad()
    def pairs(
        self, images: Tensor, pairs: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Distance of each listed pair; each image goes through the network once.

        Args:
            images: (N,3,H,W) in [0, 1].
            pairs: (P,2) indices into them.
            mask: (1,1,H,W) weights; the distance map is averaged where it is 1.
        """
        from lpips import upsample

        if not len(pairs):
            return images.new_zeros(0)
        pairs = pairs.to(images.device)
        used, index = pairs.unique(return_inverse=True)
        images = images[used]
        total = images.new_zeros(len(pairs), dtype=torch.float32)
        layers = self.features(images)
        for p, (i, j) in enumerate(index.tolist()):
            if torch.equal(images[i], images[j]):
                continue  # exactly 0, whatever the batch did to rounding
            for feature, head in zip(layers, self.model.lins, strict=True):
                distance = head((feature[i : i + 1] - feature[j : j + 1]) ** 2)
                if mask is None:
                    total[p] += distance.mean()
                else:
                    distance = upsample(distance, images.shape[-2:])
                    total[p] += (distance * mask).sum() / mask.sum()
        return total

    def forward(self, a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
        """Distance of a[n] to b[n], (N,)."""
        count = len(a)
        index = torch.arange(count, device=a.device)
        return self.pairs(
            torch.cat([a, b]), torch.stack([index, index + count], 1), mask
        )


def build_distance(name: str = 'lpips', **kwargs):
    """'lpips' (see `PerceptualDistance` for the arguments) or 'pixel'."""
    if name == 'lpips':
        return PerceptualDistance(**kwargs)
    if name == 'pixel' and not kwargs:
        return PixelDistance()
    raise UserError(
        f"distance {name!r} with {kwargs}; there are 'lpips', with net, "
        "version and backbone, and 'pixel', without arguments"
    )


def _build(net, version, state):
    from lpips import LPIPS

    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter('ignore')  # lpips builds torchvision's nets the old way
        torch.manual_seed(0)
        model = LPIPS(net=net, version=version, pnet_rand=True, verbose=False)
    if state is not None:
        slices = {
            name: f'features.{name.split(".", 1)[1]}' for name in model.net.state_dict()
        }
        model.net.load_state_dict({s: state[f] for s, f in slices.items()})
    return model.requires_grad_(False).eval()


def _answers(net, state):
    """Whether LPIPS v0.1 on this trunk gives the known answers."""
    model = _build(net, '0.1', state)
    a, b = (2 * image - 1 for image in known_images())
    with torch.no_grad():
        found = model(a, b).item(), model(a, a.flip(-1)).item()
    return all(
        math.isclose(x, y, abs_tol=1e-3)
        for x, y in zip(found, KNOWN_ANSWERS[net], strict=True)
    )
