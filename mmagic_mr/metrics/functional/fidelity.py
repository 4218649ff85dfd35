"""Do the samples look like real images, and does one of them hit the target?

Distances between sets of images are computed on features from a local file: nothing is
downloaded, and every result carries the name of the network that it was made with.
"""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmagic_mr.metrics.networks.backbone import TRUNKS, load_backbone

INPUTS = {
    'uint8': lambda x: (x * 255).round().to(torch.uint8),
    '0..1': lambda x: x,
    '-1..1': lambda x: 2 * x - 1,
    '0..255': lambda x: x * 255,
}


class Extractor(nn.Module):
    """Features of images for FID and its like, and the name to print beside them.

    Args:
        kind: 'alex': the AlexNet trunk of `tools/fetch_backbone.py`, its last layer
            averaged over the image (256 features); 'torchscript': a local file, such as
            the `inception-2015-12-05.pt` of StyleGAN's authors; 'random': a stand-in
            for tests, untrained.
        path: the file; for 'alex' None means the cache.
        size: side to which images are resized (bilinear, antialiased) first; None: as
            they are.
        input: what the network takes: 'uint8', '0..1', '-1..1', '0..255'.
        name: what to print; None: derived from kind and file.

    Shape:
        (N, 3, H, W), RGB in [0, 1], to (N, D), float64 on the CPU.

    Raises:
        BackboneMissing, FileNotFoundError: the file is not there.
        ValueError: an unknown kind or input.

    Example:
        >>> extractor = Extractor('random')
        >>> extractor(torch.rand(2, 3, 32, 32)).shape, extractor.name
        (torch.Size([2, 64]), 'random-convolutions-stand-in')
    """

    def __init__(
        self,
        kind: str = 'alex',
        path: str | None = None,
        size: int | None = None,
        input: str | None = None,
        name: str | None = None,
        chunk: int = 32,
    ):
        super().__init__()
        builders = dict(alex=_alex, torchscript=_torchscript, random=_random)
        if kind not in builders:
            raise ValueError(f'extractor kind={kind!r}; there are {sorted(builders)}')
        self.network, default_name, default_input = builders[kind](path)
        self.input = input or default_input
        if self.input not in INPUTS:
            raise ValueError(f'extractor input={input!r}; there are {sorted(INPUTS)}')
        self.name = name or default_name
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
            found = self.network(INPUTS[self.input](part))
            features.append(found.flatten(1).double().cpu())
        return torch.cat(features)


class _GlobalMean(nn.Sequential):
    def forward(self, x):
        return super().forward(x).mean((-2, -1))


def _alex(path):
    layers = [
        nn.Conv2d(3, 64, 11, 4, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, 1, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, 1, 1),
        nn.ReLU(),
    ]
    state, digest = load_backbone('alex', path)
    network = _GlobalMean(*layers)
    network.load_state_dict({k.removeprefix('features.'): v for k, v in state.items()})
    known = digest == TRUNKS['alex'].content
    name = 'alexnet-conv5-mean' if known else f'alexnet-{digest[:8]}-conv5-mean'
    return nn.Sequential(_ImageNetScale(), network), name, '0..1'


class _ImageNetScale(nn.Module):
    def forward(self, x):
        mean = x.new_tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        std = x.new_tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
        return (x - mean) / std


def _torchscript(path):
    if path is None or not Path(path).is_file():
        raise FileNotFoundError(
            f"extractor: path={path!r} is no file; kind='torchscript' needs path=FILE, "
            'a network saved by torch.jit'
        )
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:8]
    network = torch.jit.load(str(path), map_location='cpu')
    return network, f'{Path(path).stem}-{digest}', 'uint8'


def _random(path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = _GlobalMean(
            nn.Conv2d(3, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU()
        )
    return network, 'random-convolutions-stand-in', '-1..1'


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    r"""FID's formula on features, by torch-fidelity.

    .. math:: |\mu_r - \mu_f|^2 + \operatorname{tr}(\Sigma_r + \Sigma_f
              - 2 (\Sigma_r \Sigma_f)^{1/2})

    Shape:
        real (N, D), fake (M, D).

    Reference:
        Heusel et al., NeurIPS 2017.
    """
    from torch_fidelity.metric_fid import (
        KEY_METRIC_FID,
        fid_features_to_statistics,
        fid_statistics_to_metric,
    )

    _check_features(real, fake)
    stats = [fid_features_to_statistics(f.double().cpu()) for f in (real, fake)]
    return fid_statistics_to_metric(*stats, verbose=False)[KEY_METRIC_FID]


def kernel_distance(
    real: Tensor,
    fake: Tensor,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """KID's formula on features, by torch-fidelity: cubic kernel, unbiased, subsets.

    Args:
        subset_size: lowered to the smaller set.

    Returns:
        Mean and standard deviation over the subsets.

    Reference:
        Bińkowski et al., ICLR 2018.
    """
    from torch_fidelity.metric_kid import (
        KEY_METRIC_KID_MEAN,
        KEY_METRIC_KID_STD,
        kid_features_to_metric,
    )

    _check_features(real, fake)
    size = min(subset_size, len(real), len(fake))
    if size == len(real) == len(fake):
        subsets = 1  # each subset would be the whole
    found = kid_features_to_metric(
        fake.double(),
        real.double(),
        kid_subsets=subsets,
        kid_subset_size=size,
        rng_seed=seed,
        verbose=False,
    )
    return found[KEY_METRIC_KID_MEAN], found[KEY_METRIC_KID_STD]


def precision_recall(
    real: Tensor, fake: Tensor, neighbours: int = 3
) -> tuple[float, float]:
    """Improved precision and recall on features, by torch-fidelity.

    Reference:
        Kynkäänniemi et al., NeurIPS 2019.

    Example:
        >>> real = torch.arange(8.).view(8, 1)
        >>> precision_recall(real, real), precision_recall(real, real + 100)
        ((1.0, 1.0), (0.0, 0.0))
    """
    from torch_fidelity.metric_prc import (
        KEY_METRIC_PRECISION,
        KEY_METRIC_RECALL,
        prc_features_to_metric,
    )

    _check_features(real, fake, neighbours)
    found = prc_features_to_metric(
        fake.double(), real.double(), verbose=False, prc_neighborhood=neighbours
    )
    return found[KEY_METRIC_PRECISION], found[KEY_METRIC_RECALL]


def density_coverage(
    real: Tensor, fake: Tensor, neighbours: int = 5
) -> tuple[float, float]:
    r"""Density and coverage on features.

    With B(r) the ball around a real image that reaches its k-th neighbour:

    .. math:: \frac{1}{kM} \sum_{f} \sum_{r} [f \in B(r)], \qquad
              \frac1N \sum_r [\exists f \in B(r)]

    Args:
        real, fake: (N, D) and (M, D).
        neighbours: k; more than k images are needed.

    Returns:
        Density (about 1 for real images, not bounded by it) and coverage (0..1).

    Reference:
        Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models,
        ICML 2020.

    Example:
        >>> real = torch.arange(8.).view(8, 1)
        >>> density_coverage(real, real[:4], neighbours=1)
        (2.75, 0.625)
    """
    _check_features(real, fake, neighbours)
    real, fake = real.double(), fake.double()
    # The exact form: the fast one is off where a distance is 0.
    exact = dict(compute_mode='donot_use_mm_for_euclid_dist')
    radii = torch.cdist(real, real, **exact).kthvalue(neighbours + 1, dim=1).values
    inside = torch.cdist(real, fake, **exact) <= radii[:, None]
    density = inside.sum().item() / (neighbours * len(fake))
    return density, inside.any(1).double().mean().item()


def psnr(images: Tensor, target: Tensor) -> Tensor:
    r"""Peak signal-to-noise ratio in dB; identical images count as 100 dB.

    .. math:: -10 \log_{10} \overline{(s - y)^2}

    Shape:
        images (K, C, H, W), target (C, H, W), in [0, 1]; result (K,).

    Example:
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
        ValueError: `low` is not smaller than the images.
    """
    if low.shape[-2] >= images.shape[-2] or low.shape[-1] >= images.shape[-1]:
        raise ValueError(
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
        >>> best_and_mean(torch.tensor([1., 2., 6.]), larger_is_better=False)
        (1.0, 3.0)
    """
    best = values.max() if larger_is_better else values.min()
    return best.item(), values.mean().item()


def _check_features(real, fake, neighbours=1):
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(
            'features of shape (N, D) and (M, D) are needed, not '
            f'{tuple(real.shape)} and {tuple(fake.shape)}'
        )
    if min(len(real), len(fake)) <= neighbours:
        raise ValueError(
            f'{len(real)} real and {len(fake)} fake images; more than '
            f'{max(neighbours, 1)} of each are needed'
        )
    if not (real.isfinite().all() and fake.isfinite().all()):
        raise ValueError(
            'features are not finite: is the input range of the extractor right?'
        )
