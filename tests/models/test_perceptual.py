"""Perceptual terms beside sample losses: on every sample, or on their mean."""

import copy

import pytest
import torch
from helpers import hosts
from mmagic.registry import MODELS
from mmengine.registry import init_default_scope
from torch import nn

from mmagic_mr.errors import UserError
from mmagic_mr.models.host_terms import OfMeans, compare_means, perceptual_losses

CRPS = dict(crps=dict(type='CRPSLoss'))
LAYERS = {'0': 0.5, '2': 1.0}
CONFIG = dict(
    type='PerceptualLoss',
    layer_weights=LAYERS,
    style_weight=3.0,
    perceptual_weight=2.0,
    norm_img=False,
)
# Host, the argument, and what the log calls the two terms.
CASES = {
    'srgan': ('perceptual_loss', 'loss_perceptual', 'loss_style'),
    'esrgan': ('perceptual_loss', 'loss_perceptual', 'loss_style'),
    'real_esrgan': ('perceptual_loss', 'loss_perceptual', 'loss_style'),
    'aot': ('loss_composed_percep', 'loss_out_percep', 'loss_out_style'),
    'two_stage': (
        'loss_composed_percep',
        'stage2_loss_composed_percep',
        'stage2_loss_composed_style',
    ),
}


@pytest.fixture(autouse=True)
def _small_vgg(monkeypatch):
    """In place of torchvision's, which is fetched."""

    def vgg19(pretrained):
        torch.manual_seed(2)
        network = nn.Module()
        layers = nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 5, 3)
        network.features = nn.Sequential(*layers)
        return network

    monkeypatch.setattr('mmagic.models.losses.perceptual_loss.vgg.vgg19', vgg19)
    init_default_scope('mmagic')


def of_means(**changes):
    loss = MODELS.build(CONFIG | changes)
    compare_means('perceptual_loss', loss)
    return loss


def terms(loss, samples, target):
    return perceptual_losses(loss, samples, target, ('percep', 'style'))


def gram(features):
    flat = features.flatten(-2)
    return flat @ flat.transpose(-1, -2) / features[0].numel()


@pytest.mark.parametrize('criterion', ['l1', 'mse'])
def test_features_and_gram_matrices_are_averaged_over_the_samples(criterion):
    loss = of_means(criterion=criterion)
    samples, target = torch.rand(2, 3, 3, 8, 8), torch.rand(2, 3, 8, 8)
    found = terms(loss, samples, target)
    distance = torch.abs if criterion == 'l1' else torch.square
    percep = style = 0.0
    for name, weight in LAYERS.items():
        of_samples = torch.stack([loss.vgg(s)[name] for s in samples.unbind(1)])
        of_target = loss.vgg(target)[name]
        percep += weight * distance(of_samples.mean(0) - of_target).mean()
        grams = torch.stack([gram(f) for f in of_samples]).mean(0)
        style += weight * distance(grams - gram(of_target)).mean()
    torch.testing.assert_close(found['percep'], 2.0 * percep)
    torch.testing.assert_close(found['style'], 3.0 * style)


def test_of_one_sample_it_is_mmagics():
    ours, theirs = of_means(), MODELS.build(CONFIG)
    samples, target = torch.rand(4, 1, 3, 8, 8), torch.rand(4, 3, 8, 8)
    found, same = (terms(loss, samples, target) for loss in (ours, theirs))
    expected = theirs(samples[:, 0], target)
    for values in zip(found.values(), same.values(), expected, strict=True):
        assert len({float(v) for v in values}) == 1


def test_on_every_sample_it_is_mmagics_of_repeated_targets():
    loss = MODELS.build(CONFIG)
    samples, target = torch.rand(2, 3, 3, 8, 8), torch.rand(2, 3, 8, 8)
    found = terms(loss, samples, target)
    expected = loss(samples.flatten(0, 1), target.repeat_interleave(3, 0))
    assert tuple(found.values()) == expected
    off = MODELS.build(CONFIG | dict(style_weight=0))
    assert terms(off, samples, target).keys() == {'percep'}


def test_samples_on_both_sides_of_the_target_are_left_alone():
    """In a linear layer, where the mean of the features is that of the mean."""
    target = torch.rand(2, 3, 8, 8)
    step = 0.3 * torch.randn(2, 3, 8, 8)
    both = torch.stack([target + step, target - step], 1).requires_grad_()
    linear = dict(layer_weights={'0': 1.0}, style_weight=0, criterion='mse')
    losses = of_means(**linear), MODELS.build(CONFIG | linear)
    mean, each = (
        torch.autograd.grad(terms(loss, both, target)['percep'], both)[0]
        for loss in losses
    )
    assert each.abs().max() > 1e-4
    assert mean.abs().max() < 1e-6 * each.abs().max() + 1e-9


@pytest.mark.parametrize('host', CASES)
def test_every_host_keeps_it_where_the_config_says_so(host, monkeypatch):
    argument, *names = CASES[host]
    lines = []
    monkeypatch.setattr(
        'mmagic_mr.models.reconstruction.print_log',
        lambda line, logger: lines.append(line),
    )
    spec = hosts.HOSTS[host]
    given = spec.arguments([argument]) | {argument: CONFIG}
    logs = {}
    for how in 'each', 'mean':
        model = hosts.build(
            spec.config, sample_losses=CRPS, keep={argument: how}, **given
        )
        hosts.steady(model)
        attribute = model.perceptual_terms[argument]
        criterion = getattr(model, attribute).criterion
        assert isinstance(criterion, OfMeans) == (how == 'mean')
        logs[how] = model.train_step(spec.data(2), hosts.optim_wrapper(model))
        assert {*names, 'loss_crps'} <= logs[how].keys()
    each, mean = lines
    assert f'; {argument}' in each
    assert 'mean' not in each.split('(keep=')[0]
    assert f'; {argument} (on the mean of the features)' in mean
    # Of a convex criterion of the same samples, at their mean and on average.
    assert logs['mean'][names[0]] <= (1 + 1e-5) * logs['each'][names[0]]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(keep=dict(pixel_loss='mean')), r"'pixel_loss' compares no features.*MRL"),
        (dict(keep=dict(perceptual_loss='men')), r"is 'men', and must be 'each'"),
        (
            dict(keep=dict(perceptual_los='mean')),
            r'no reconstruction term percep',
        ),
        (dict(keep=dict(perceptual_loss='mean')), r'there is none: give such a loss'),
        (
            dict(
                keep=dict(perceptual_loss='mean'), perceptual_loss=hosts.PERCEPTUAL[0]
            ),
            r'Perceptual has none: give such a loss',
        ),
        (dict(keep=dict(perceptual_loss=1)), r'keep must be a list'),
    ],
)
def test_what_cannot_be_kept_so(changes, message):
    with pytest.raises(UserError, match=message):
        hosts.build(hosts.SRGAN, sample_losses=CRPS, **copy.deepcopy(changes))
