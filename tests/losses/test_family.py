"""The losses that are not per element: their options, masks, and what they count."""

import copy

import pytest
import torch

from mmagic_mr.errors import UserError
from mmagic_mr.functional import (
    best_of_k,
    kernel_score,
    masked_mean,
    mean_difference,
    patch_mask,
    pcagan,
    rcgan,
    variogram_score,
)
from mmagic_mr.losses import (
    BestOfKLoss,
    DiversitySensitiveLoss,
    DSGANLoss,
    KernelScoreLoss,
    NDivLoss,
    PCAGANLoss,
    RCGANLoss,
    VariogramScoreLoss,
)


@pytest.fixture
def batch():
    """Samples, targets, and a mask: a hole, and one that is out of the square."""
    mask = torch.zeros(2, 1, 6, 7)
    mask[0, :, 1:5, 2:6] = 1
    mask[1, :, 0, 0] = mask[1, :, 2:5, 1:4] = 1
    return torch.randn(2, 6, 3, 6, 7), torch.randn(2, 3, 6, 7), mask


@pytest.mark.parametrize('patch', [None, 1, 3])
def test_kernel_score_counts_patches_that_lie_wholly_inside(batch, patch):
    samples, target, mask = batch
    loss = KernelScoreLoss([0.5, 2.0], patch, loss_weight=10.0)
    values = kernel_score(samples, target, [0.5, 2.0], patch)
    torch.testing.assert_close(loss(samples, target), 10 * values.mean())
    whole = mask if patch is None else None
    values = kernel_score(samples, target, [0.5, 2.0], patch, whole)
    expected = 10 * masked_mean(values, patch_mask(mask, patch))
    torch.testing.assert_close(loss(samples, target, mask=mask), expected)


@pytest.mark.parametrize('fair', [True, False])
def test_variogram_counts_pairs_that_lie_inside(batch, fair):
    samples, target, mask = batch
    loss = VariogramScoreLoss(fair=fair, loss_weight=10.0)
    means, inside = [], []
    for offset, both in (
        ((0, 1), mask[..., 1:] * mask[..., :-1]),
        ((1, 0), mask[..., 1:, :] * mask[..., :-1, :]),
    ):
        values = variogram_score(samples, target, offset, fair=fair)
        means.append(values.mean())
        inside.append(values[(both > 0).expand_as(values)].mean())
    torch.testing.assert_close(loss(samples, target), 5 * sum(means))
    torch.testing.assert_close(loss(samples, target, mask=mask), 5 * sum(inside))


@pytest.mark.parametrize('estimator', ['paper', 'released'])
def test_the_weight_of_the_spread_may_change_in_training(batch, estimator):
    samples, target, _ = batch
    loss = RCGANLoss(estimator=estimator)
    for weight in (1.0, 0.3):
        loss.spread_weight = weight
        expected = rcgan(samples, target, weight, estimator).mean()
        torch.testing.assert_close(loss(samples, target), expected)
    assert 'spread_weight=0.3' in repr(loss)


def test_pcagan_adds_the_components_in_their_turn(batch):
    samples, target, mask = batch
    loss = PCAGANLoss(components=2, component_weight=0.5, interval=3)
    least = RCGANLoss()(samples, target, mask=mask)
    most = least + 0.5 * pcagan(samples, target, 2, mask)
    seen = [loss(samples, target, mask=mask) for _ in range(2)]
    # Outside of a training always, and it is not counted
    seen.append(loss.eval()(samples, target, mask=mask))
    # As a checkpoint has it
    resumed = PCAGANLoss(components=2, component_weight=0.5, interval=3)
    resumed.load_state_dict(loss.state_dict())
    seen += [resumed(samples, target, mask=mask) for _ in range(2)]
    torch.testing.assert_close(
        torch.stack(seen), torch.stack([most, least, most, least, most])
    )


def test_several_views_are_one_turn(batch):
    samples, target, _ = batch
    loss = PCAGANLoss(views=dict(pixel=1.0, pool2=1.0))
    copy.deepcopy(loss)(samples, target)
    loss(samples, target)
    assert loss.updates.item() == 1


def test_components_say_how_many_samples_are_needed(batch):
    samples, target, _ = batch
    assert [PCAGANLoss(components=c).min_samples for c in (1, 2, 5)] == [4, 6, 12]
    with pytest.raises(UserError, match=r'PCAGANLoss needs at least K = 8 .*K = 6'):
        PCAGANLoss(components=3)(samples, target)


def test_best_of_k_is_of_images_that_have_anything_inside(batch):
    samples, target, mask = batch
    mask[1] = 0
    expected = 10 * best_of_k(samples[:1], target[:1], mask[:1]).squeeze()
    loss = BestOfKLoss(loss_weight=10.0)(samples, target, mask=mask)
    torch.testing.assert_close(loss, expected)


def test_the_term_of_starganv2_fades_out_and_is_resumed(batch):
    samples, _, mask = batch
    whole = 10 * masked_mean(mean_difference(samples), mask)
    loss = DiversitySensitiveLoss(decay_updates=4, loss_weight=10.0)
    seen = [loss(samples, mask=mask) for _ in range(2)]
    seen.append(loss.eval()(samples, mask=mask))
    resumed = DiversitySensitiveLoss(decay_updates=4, loss_weight=10.0)
    resumed.load_state_dict(loss.state_dict())
    seen += [resumed(samples, mask=mask) for _ in range(4)]
    left = torch.tensor([1, 0.75, 0.5, 0.5, 0.25, 0, 0])
    torch.testing.assert_close(torch.stack(seen), -left * whole)
    # Without a bound: twice the spread is twice as good
    loss = DiversitySensitiveLoss()
    torch.testing.assert_close(loss.eval()(2e3 * samples), 2e3 * loss(samples))


@pytest.mark.parametrize(
    ('cls', 'options', 'message'),
    [
        (KernelScoreLoss, dict(bandwidths=[]), 'bandwidths must be a list of positive'),
        (KernelScoreLoss, dict(bandwidths=[0.0]), r'bandwidths must .*got \[0\.0\]'),
        (KernelScoreLoss, dict(patch=0), 'patch must be .*got 0'),
        (VariogramScoreLoss, dict(p=0.0), r'p must be positive, got 0\.0'),
        (VariogramScoreLoss, dict(offsets=[]), 'offsets must be .*got none'),
        (VariogramScoreLoss, dict(offsets=[(0, 0)]), r'an offset must .*got \(0, 0\)'),
        (RCGANLoss, dict(spread_weight=-1.0), r'spread_weight must be .*got -1\.0'),
        (RCGANLoss, dict(estimator='mine'), "estimator must be one of 'paper'.*'mine'"),
        (PCAGANLoss, dict(components=0), 'components must be .*got 0'),
        (PCAGANLoss, dict(interval=0), 'interval must be .*got 0'),
        (DSGANLoss, dict(tau=0), 'tau must be .*got 0'),
        (DSGANLoss, dict(estimator='mine'), "estimator must be one of 'paper'.*'mine'"),
        (NDivLoss, dict(alpha=1.5), r'alpha must be from 0 to 1, got 1\.5'),
        (
            DiversitySensitiveLoss,
            dict(decay_updates=0),
            'decay_updates must be .*got 0',
        ),
    ],
)
def test_bad_options_are_refused_when_built(cls, options, message):
    with pytest.raises(UserError, match=message):
        cls(**options)
