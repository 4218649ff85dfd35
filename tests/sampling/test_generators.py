"""Every generator of MMagic that hosts use: samples, obstacles, and what is shared."""

import re

import pytest
import torch
from helpers.generators import GENERATORS, inputs_of
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.errors import UserError
from mmagic_mr.host import MODELS
from mmagic_mr.models.edit import MREditModel
from mmagic_mr.sampling import add_noise_sites, list_sites, sampling

# StyleGAN's filters are written for single precision
DTYPES = {'glean': torch.float}
# Early, where tokens and codes come after the noise, and late
SITES = {
    'unet': ('model.model.0.conv', 'model.model.1.model.2.conv'),
    'resnet': ('model.3.block.1.conv', 'model.6.conv'),
    'msrresnet': ('trunk_net.0.conv1', 'upsample2.upsample_conv'),
    'rrdb': ('body.0.rdb1.conv1', 'body.1.rdb3.conv5'),
    'edsr': ('body.0.conv1', 'conv_after_body'),
    'rdn': ('rdbs.0.layers.0.conv', 'gff.1'),
    'srcnn': ('conv1', 'conv3'),
    'swinir': ('conv_first', 'layers.0.conv'),
    'restormer': ('down1_2.body.0', 'reduce_chan_level2'),
    'nafnet': ('downs.0', 'ups.1.0'),
    'global_local': ('encoder.enc2.conv', 'dilation_neck.dilation_convs.1.conv'),
    'deepfill': ('stage1.encoder.enc3.conv.conv', 'stage2.decoder.dec1.conv.conv'),
    'aot': ('encoder.encoder.3.conv', 'dilation_neck.model.1.fuse.1.conv'),
    'pconv': ('encoder.enc2.conv', 'decoder.dec3.conv'),
    'deblurgan': ('fpn.features.3.conv.0', 'smooth2.0'),
    'glean': ('encoder.0.0.conv_first', 'fusion_out.0'),
}


def image(name, output):
    """What is shown, of two stages the second, of an image and its mask the first."""
    shown = dict(deepfill=1, pconv=0).get(name)
    return output if shown is None else output[shown]


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmagic')
    torch.manual_seed(0)


def build(name):
    return MODELS.build(GENERATORS[name][0]).to(DTYPES.get(name, torch.double)).eval()


@pytest.mark.parametrize('place', [0, 1], ids=['early', 'late'])
@pytest.mark.parametrize('name', GENERATORS)
def test_samples_equal_repeated_inputs(name, place):
    dtype = DTYPES.get(name, torch.double)
    network = build(name)
    add_noise_sites(network, dict(sites={re.escape(SITES[name][place]): 2}))
    network.to(dtype)
    for n, k in (1, 3), (2, 3):
        inputs, z = inputs_of(name, n, dtype), {}
        with torch.no_grad():
            with sampling(n, k, keep=z) as drawing:
                entered = [drawing.enter(x) for x in inputs]
                samples = drawing.samples(image(name, network(*entered)))
            z = {site: v.flatten(0, 1)[:, None] for site, v in z.items()}
            with sampling(n * k, 1, z=z):
                repeated = network(*(x.repeat_interleave(k, 0) for x in inputs))
        tolerance = 4e-6 if dtype == torch.float else 1e-10
        torch.testing.assert_close(
            samples.flatten(0, 1), image(name, repeated), rtol=0, atol=tolerance
        )
        assert samples.std(1).max() > 0


def multiplications(run):
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        run()
    return flops.get_total_flops() / 2


@pytest.mark.parametrize('name', ['unet', 'rdn', 'swinir', 'deepfill', 'restormer'])
def test_the_listing_says_what_is_shared(name):
    network = MODELS.build(GENERATORS[name][0]).eval()
    (x,) = inputs_of(name, 1, torch.float)
    listing = list_sites(network, lambda: network(x))
    plain = multiplications(lambda: network(x))
    assert sum(amount for _, amount in listing.work) == pytest.approx(plain)
    add_noise_sites(network, dict(sites={re.escape(s): 1 for s in SITES[name]}))
    noise = multiplications(lambda: network(x)) - plain
    k = 5

    def drawn():
        with sampling(1, k):
            network(x)

    alone = plain - (multiplications(drawn) - k * noise - plain) / (k - 1)
    assert listing.shared(SITES[name]) == pytest.approx(alone / plain, abs=1e-6)
    again = list_sites(network, lambda: network(x))
    assert [s.name for s in again.sites] == [s.name for s in listing.sites]
    assert again.shared(SITES[name]) == pytest.approx(alone / plain, abs=1e-6)


def test_obstacles():
    network = MODELS.build(GENERATORS['nafnet'][0]).eval()
    (x,) = inputs_of('nafnet', 1, torch.float)
    sites = {s.name: s for s in list_sites(network, lambda: network(x)).sites}
    assert sites['middle_blks.0.conv1'].obstacle == 'no effect'
    assert sites['middle_blks.0.conv2'].obstacle == 'groups'
    assert sites['ups.0.0'].obstacle is None
    assert sites['downs.0'].size == (4, 8, 8)
    nn.init.ones_(network.middle_blks[0].beta)
    sites = {s.name: s for s in list_sites(network, lambda: network(x)).sites}
    assert sites['middle_blks.0.conv1'].obstacle is None


def test_convolutions_that_are_not_used():
    network = MODELS.build(GENERATORS['deblurgan'][0]).eval()
    (x,) = inputs_of('deblurgan', 1, torch.float)
    listing = list_sites(network, lambda: network(x))
    (unused,) = (s for s in listing.sites if s.name == 'fpn.features.18.0')
    assert (unused.size, unused.shared, unused.obstacle) == (None, 1, 'not used')


def edit_model(**changes):
    config = dict(
        generator=GENERATORS['nafnet'][0],
        noise=dict(sites={r'middle_blks\.0\.conv1': 2}),
        num_samples=3,
        sample_losses=dict(crps=dict(type='CRPSLoss')),
    )
    return MREditModel(**(config | changes))


def losses(model):
    from mmagic_mr.host import DataSample

    x = torch.rand(2, 3, 8, 8)
    targets = DataSample()
    targets.set_tensor_data(dict(gt_img=torch.rand(2, 3, 8, 8)))
    return model.forward_train(x, targets)


def test_noise_before_a_branch_that_starts_at_zero():
    with pytest.raises(
        UserError, match=r"'middle_blks.0.conv1' has no effect.*'downs\."
    ):
        losses(edit_model())
    trained = edit_model()
    nn.init.ones_(trained.generator.middle_blks[0].beta)
    assert losses(trained)['sample_std'] > 0


def test_groups_name_the_nearest_that_has_none():
    with pytest.raises(
        UserError, match=r'8 groups.*nearest one is .decoders.1.0.conv1'
    ):
        edit_model(noise=dict(sites={r'decoders\.1\.0\.conv2': 2}))
