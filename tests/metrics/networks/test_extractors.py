"""Extractors: files that are really loaded, and whatever torch-fidelity knows."""

import pytest
import torch
from helpers.metrics import needs_trunk, random_trunk
from torch import nn
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import (
    FEATURE_EXTRACTORS_REGISTRY,
    register_feature_extractor,
)

from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.metrics.networks.extractors import Extractor
from mmagic_mr.networks.backbone import save_backbone


def test_torchscript_file_is_the_extractor(tmp_path):

    class Mean(nn.Module):
        def forward(self, x):
            return x.to(torch.float32).mean((2, 3))

    file = tmp_path / 'my-net.pt'
    torch.jit.script(Mean()).save(str(file))
    images = torch.rand(5, 3, 8, 8, generator=torch.manual_seed(0))
    extractor = Extractor('torchscript', path=file, chunk=2)
    expected = (images * 255).round().mean((2, 3))
    torch.testing.assert_close(extractor(images), expected.double())
    assert extractor.name.startswith('my-net-')
    signed = Extractor('torchscript', path=file, input='-1..1', size=4)
    torch.testing.assert_close(
        signed(images), (2 * images - 1).mean((2, 3)).double(), atol=0.05, rtol=0
    )


def test_stand_in_says_so_and_leaves_the_random_state():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    extractor = Extractor('random')
    assert torch.equal(torch.rand(1), expected)
    assert 'stand-in' in extractor.name
    images = torch.rand(3, 3, 32, 32)
    assert torch.equal(extractor(images), Extractor('random')(images))


@needs_trunk
def test_alexnet_features_are_those_of_the_lpips_trunk():
    from mmagic_mr.metrics.networks.perceptual import PerceptualDistance

    images = torch.rand(2, 3, 64, 64, generator=torch.manual_seed(0))
    model = PerceptualDistance().model
    with torch.no_grad():
        last = model.net(model.scaling_layer(2 * images - 1))[-1].mean((2, 3))
    extractor = Extractor('alex')
    # lpips rounds ImageNet's constants to three digits in [-1, 1].
    torch.testing.assert_close(extractor(images), last.double(), atol=5e-3, rtol=1e-2)
    assert extractor.name == 'alexnet-conv5-mean'


def test_alexnet_on_another_trunk_says_so(tmp_path):
    file = tmp_path / 'mine.safetensors'
    arrays = random_trunk()
    digest = save_backbone(arrays, file, 'alex', 'a test')
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    extractor = Extractor('alex', path=file)
    assert torch.equal(torch.rand(1), expected)
    assert extractor.name == f'alexnet-{digest[:8]}-conv5-mean'
    layers = extractor.network.network[1]
    for name, array in arrays.items():
        found = layers.get_parameter(name.removeprefix('features.'))
        assert torch.equal(found, torch.from_numpy(array))
    assert extractor(torch.rand(2, 3, 64, 64)).shape == (2, 256)


class Corners(FeatureExtractorBase):
    """A user's own: the values of the first pixel, as torch-fidelity's classes do."""

    def __init__(
        self, name, features_list, feature_extractor_weights_path=None, **kwargs
    ):
        super().__init__(name, features_list)

    @staticmethod
    def get_provided_features_list():
        return 'first', 'last'

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return {'fid': 'last'}[metric]

    def forward(self, images):
        assert images.dtype == torch.uint8
        corners = dict(first=images[..., 0, 0], last=images[..., -1, -1])
        return tuple(corners[name] for name in self.features_list)


def test_an_extractor_registered_in_torch_fidelity_works(tmp_path):
    register_feature_extractor('corners', Corners)
    try:
        extractor = Extractor('corners')
        images = torch.rand(5, 3, 8, 8)
        expected = (images[..., -1, -1] * 255).round().double()
        assert torch.equal(extractor(images), expected)
        assert extractor.name == 'corners'
        assert extractor.input == 'uint8'
        file = tmp_path / 'weights'
        file.write_bytes(b'')
        assert Extractor('corners', path=file).name == 'corners-e3b0c442'
    finally:
        del FEATURE_EXTRACTORS_REGISTRY['corners']


def test_ours_are_extractors_of_torch_fidelity():
    """Its own functions hand images over as uint8."""
    network = FEATURE_EXTRACTORS_REGISTRY['random']('random', ['features'])
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    (found,) = network(images)
    expected = Extractor('random')(images / 255)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


def test_bad_input_is_named(tmp_path):
    with pytest.raises(UserError, match=r"kind='inception'; there are alex, .*random"):
        Extractor('inception')
    with pytest.raises(MissingFileError, match=r'torch\.jit'):
        Extractor('torchscript', path=tmp_path / 'none.pt')
    with pytest.raises(UserError, match='bgr'):
        Extractor('random', input='bgr')
