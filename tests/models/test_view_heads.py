"""The predictor's heads for views: what they learn, and who asks for them."""

import pytest
import torch
from helpers import pix2pix, tiny
from mmagic.registry import MODELS
from mmengine.registry import init_default_scope
from torch import nn

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.errors import UserError
from mmagic_mr.functional import ViewMoments, masked_mean, nll
from mmagic_mr.hooks import PredictorPretrainHook
from mmagic_mr.hooks.predictor_file import load_predictor
from mmagic_mr.losses import MomentNLLLoss

VIEWS = dict(pixel=1.0, pool4=1.0, diff=1.0)


@MODELS.register_module()
class TwoConvolutions(nn.Sequential):
    def __init__(self, out_channels=3):
        super().__init__(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, out_channels, 1))

    def init_weights(self):
        pass


def build(views=None, **generator):
    init_default_scope('mmagic')
    generator = dict(type='TwoConvolutions', **generator)
    return MODELS.build(
        dict(type='MomentPredictor', generator=generator, views=views or {})
    )


def test_the_variances_of_independent_pixels():
    """Of 16 of them the average has a 16th of the variance, a difference twice it."""
    predictor = build(dict(pool4=1.0, diff_x=1.0, diff_y=1.0))
    predictor.thaw()
    optimizer = torch.optim.Adam(predictor.parameters(), 0.05)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.02, 120)
    loss, x = MomentNLLLoss('gaussian', 2), torch.ones(32, 3, 16, 16)
    y = 0.3 + 0.5 * torch.randn(32, 3, 16, 16)
    for _ in range(120):
        terms = predictor.likelihoods(loss, predictor(x), y)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
        schedule.step()
    predictor.freeze()
    moments = predictor.moments(x)
    views = moments.views | dict(pixel=moments)
    expected = dict(
        pixel=(0.3, 0.25), pool4=(0.3, 0.25 / 16), diff_x=(0, 0.5), diff_y=(0, 0.5)
    )
    for name, (center, variance) in expected.items():
        found = views[name]
        assert found.center.mean().item() == pytest.approx(center, abs=0.02)
        assert found.dispersion.mean().item() == pytest.approx(variance, rel=0.1)


def test_each_term_is_the_likelihood_in_that_view():
    predictor = build(dict(pool4=0.5))
    x, y = torch.randn(2, 2, 3, 8, 8)
    mask = torch.zeros(2, 1, 8, 8)
    mask[..., 1:, :5] = 1  # of the four cells one lies inside, the lower left
    center, pixels, seen = predictor(x)
    terms = predictor.likelihoods(MomentNLLLoss(), (center, pixels, seen), y, mask)
    assert list(terms) == ['pixel', 'pool4']
    whole = masked_mean(nll(center, pixels, y, 'gaussian'), mask)
    torch.testing.assert_close(terms['pixel'], whole)
    cell = (..., slice(4, 8), slice(0, 4))
    means = [image[cell].mean((-2, -1), keepdim=True) for image in (center, y)]
    head = predictor.view_heads['pool4'](
        nn.Sequential(*list(predictor.generator)[:2])(x)
    )
    log_variance = head[cell].mean((-2, -1), keepdim=True)
    by_hand = nll(means[0], log_variance, means[1], 'gaussian').mean()
    torch.testing.assert_close(terms['pool4'], 0.5 * by_hand)


def test_moments_of_views():
    predictor = build(dict(pool4=1.0, diff_x=1.0))
    with torch.autocast('cpu', torch.bfloat16):
        moments = predictor.moments(torch.randn(2, 3, 8, 8))
    assert isinstance(moments, ViewMoments)
    pooled = moments.views['pool4']
    assert pooled.center.shape == pooled.dispersion.shape == (2, 3, 2, 2)
    assert moments.views['diff_x'].dispersion.shape == (2, 3, 8, 7)
    differences = moments.center[..., 1:] - moments.center[..., :-1]
    torch.testing.assert_close(moments.views['diff_x'].center, differences)
    assert pooled.dispersion.dtype == torch.float32
    assert not pooled.dispersion.requires_grad


def test_heads_are_frozen_and_initialized_with_the_rest():
    predictor = build(dict(pool4=1.0))
    head = predictor.view_heads['pool4']
    assert not head.weight.requires_grad
    predictor.thaw()
    assert head.weight.requires_grad
    nn.init.ones_(head.bias)
    predictor.init_weights()
    assert head.bias.abs().sum() == 0


# -- who asks -----------------------------------------------------------------------


def proxy(**kwargs):
    return dict(type='ProxyMRLoss', **kwargs)


def test_a_model_asks_for_the_views_of_its_losses_alone():
    model = pix2pix.build(mr_loss=proxy(views=VIEWS))
    assert set(model.predictor.view_heads) == {'pool4', 'diff_x', 'diff_y'}
    weights = {view.name: w for view, w in model.predictor.views.items()}
    assert weights == dict(pixel=1.0, pool4=1.0, diff_x=0.5, diff_y=0.5)
    losses = dict(a=proxy(), b=dict(type='CRPSLoss', views=dict(pool8=1.0, fft=1.0)))
    model = pix2pix.build(mr_loss=None, sample_losses=losses, num_samples=4)
    assert not any('view_heads' in key for key in model.state_dict())
    assert type(model.predictor.moments(torch.rand(1, 3, 32, 32))) is not ViewMoments


@pytest.mark.parametrize(
    ('loss', 'words'),
    [
        (dict(views=dict(fft=1.0)), r"'fft'.*CRPSLoss\(views=dict\(fft=1\)\)"),
        (
            dict(views=dict(pixel=1.0, pool4=1.0), distribution='laplace'),
            r"'pool4' with distribution='laplace'.*take 'gaussian'",
        ),
    ],
)
def test_views_without_moments_are_refused_when_the_model_is_built(loss, words):
    with pytest.raises(UserError, match=words):
        pix2pix.build(mr_loss=proxy(**loss))


def test_a_predictor_refuses_them_too():
    with pytest.raises(UserError, match="'fft'"):
        build(dict(fft=1.0))


def test_a_file_without_the_heads_says_which_are_missing(tmp_path):
    plain, loss = build(), MomentNLLLoss()
    path = tmp_path / 'best.pth'
    torch.save(dict(state_dict=plain.state_dict()), path)
    load_predictor(build(), path, loss)
    with pytest.raises(UserError, match=r"without a head for the view 'pool4'.*anew"):
        load_predictor(build(dict(pool4=1.0)), path, loss)


@pytest.mark.parametrize(
    ('name', 'host'),
    [
        ('pix2pix_proxy_mr2_cityscapes', 'pairs'),
        ('glcic_proxy_mr2_celeba', 'faces'),  # with masks
    ],
)
def test_it_trains_from_pretraining_to_update(tmp_path, name, host):
    from mmengine.runner import Runner

    data_root = tiny.write_data(name, tmp_path / 'data')
    cfg = tiny.load(name, data_root, tmp_path / 'run')
    cfg.model.mr_loss.views = dict(pixel=1.0, pool4=1.0)
    cfg.custom_hooks = [cfg.custom_hooks[0] | dict(log_interval=1)]
    runner = Runner.from_cfg(cfg)
    hook = next(h for h in runner.hooks if isinstance(h, PredictorPretrainHook))
    assert hook.schedule['max_iters'] == 2
    before = runner.model.predictor.view_heads['pool4'].weight.clone()
    runner.train()
    assert not torch.equal(before, runner.model.predictor.view_heads['pool4'].weight)
    (log,) = (tmp_path / 'run').glob('*/*.log')
    text = log.read_text()
    assert 'loss_mr' in text
    assert '(pixel ' in text
    assert ', pool4 ' in text
    (scalars,) = (tmp_path / 'run').glob('*/vis_data/scalars.json')
    assert '"predictor/nll_pool4"' in scalars.read_text()
