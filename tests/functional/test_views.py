"""Views against numpy, and what a loss makes of them."""

import numpy as np
import pytest
import torch
from helpers.formulas import draw
from helpers.memory import saved_bytes

from mmagic_mr.errors import UserError
from mmagic_mr.functional import Moments, ViewMoments, crps, views_of
from mmagic_mr.losses import CRPSLoss, EnergyScoreLoss, ModeSeekingLoss, ProxyMRLoss

NAMES = ['pixel', 'pool2', 'pool3', 'diff_x', 'diff_y', 'fft']
LOCAL = NAMES[:-1]
every_view = pytest.mark.parametrize('name', NAMES)


def the_view(name):
    ((view, weight),) = views_of({name: 1.0})
    assert (view.name, weight) == (name, 1.0)
    return view


def by_numpy(name, images):
    """The view of (N, C, H, W), computed in another way."""
    if name == 'pixel':
        return images
    if name.startswith('diff'):
        return np.diff(images, axis=-1 if name.endswith('x') else -2)
    if name == 'fft':
        *_, height, width = images.shape
        rows, columns = np.arange(height), np.arange(width // 2 + 1)
        of_rows = np.exp(-2j * np.pi * np.outer(rows, rows) / height)
        of_columns = np.exp(-2j * np.pi * np.outer(np.arange(width), columns) / width)
        found = of_rows @ images @ of_columns / np.sqrt(height * width)
        return np.concatenate([found.real, found.imag], axis=1)
    side = int(name.removeprefix('pool'))
    cells = [n // side for n in images.shape[-2:]]
    result = np.zeros((*images.shape[:2], *cells))
    for i in range(cells[0]):
        for j in range(cells[1]):
            cell = images[..., i * side : (i + 1) * side, j * side : (j + 1) * side]
            result[..., i, j] = cell.mean((-1, -2))
    return result


@every_view
@pytest.mark.parametrize(('height', 'width'), [(6, 6), (7, 8), (8, 5)])
def test_it_equals_numpy(name, height, width):
    images = draw(2, 3, height, width)
    found = the_view(name)(images)
    expected = by_numpy(name, images.numpy())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@every_view
def test_samples_are_seen_one_by_one(name):
    samples, view = draw(2, 4, 3, 6, 7), the_view(name)
    seen = view.of_samples(samples)
    for k in range(4):
        torch.testing.assert_close(seen[:, k], view(samples[:, k]), rtol=0, atol=1e-14)
    # Samples that share their memory, as a host may expand them, as well.
    shared = samples[:, :1].expand_as(samples)
    torch.testing.assert_close(
        view.of_samples(shared), seen[:, :1].expand_as(seen), rtol=0, atol=1e-14
    )


@every_view
def test_it_is_linear_and_its_gradient_is_the_adjoint(name):
    view, (a, b) = the_view(name), draw(2, 2, 3, 6, 7)
    assert view.linear
    expected = 2 * view(a) - 3 * view(b)
    torch.testing.assert_close(view(2 * a - 3 * b), expected, rtol=0, atol=1e-12)
    a.requires_grad_()
    seen = view(a)
    weight = torch.randn_like(seen)
    (adjoint,) = torch.autograd.grad(seen, a, weight)
    expected = (view(b) * weight).sum()
    torch.testing.assert_close((adjoint * b).sum(), expected, rtol=0, atol=1e-11)


@every_view
def test_derivatives_of_both_orders(name):
    images, view = draw(1, 1, 3, 4).requires_grad_(), the_view(name)
    assert torch.autograd.gradcheck(view, images)
    assert torch.autograd.gradgradcheck(lambda x: view(x).square(), images)


@every_view
def test_a_view_keeps_no_new_image_for_the_backward_pass(name):
    images = torch.randn(2, 3, 32, 32, requires_grad=True)
    with saved_bytes() as sizes:
        the_view(name)(images)
    # These keep their input, which is there already.
    allowed = images.numel() * 4 if name.startswith(('pool', 'fft')) else 0
    assert sum(sizes) == allowed


def test_the_squares_of_the_coefficients_are_those_of_the_pixels():
    for width in (7, 8):
        images = draw(2, 3, 6, width)
        real, imaginary = the_view('fft')(images).chunk(2, dim=1)
        power = real.square() + imaginary.square()
        twice = torch.full((power.shape[-1],), 2.0).double()
        twice[0] = 1  # these columns are their own mirror image
        if width % 2 == 0:
            twice[-1] = 1
        found = (power * twice).sum((-1, -2))
        expected = images.square().sum((-1, -2))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


def places_inside(name, mask):
    """By brute force: of each place of the view, whether no pixel outside is in it."""
    view, (height, width) = the_view(name), mask.shape[-2:]
    seen = torch.zeros_like(view(mask))
    for i in range(height):
        for j in range(width):
            if mask[0, 0, i, j] == 0:
                pixel = torch.zeros_like(mask)
                pixel[..., i, j] = 1
                seen += view(pixel).abs()
    return (seen == 0).to(mask.dtype)


@pytest.mark.parametrize('name', LOCAL)
def test_a_mask_has_the_places_that_lie_wholly_inside(name):
    mask = (torch.rand(1, 1, 9, 8) < 0.85).double()
    expected = places_inside(name, mask)
    assert 0 < expected.mean() < 1
    assert torch.equal(the_view(name).of_mask(mask), expected)


@pytest.mark.parametrize('name', LOCAL)
def test_what_is_outside_the_mask_does_not_matter(name):
    samples, target = draw(2, 4, 3, 9, 8), draw(2, 3, 9, 8)
    mask = torch.zeros(2, 1, 9, 8)
    mask[:, :, 2:8, 1:7] = 1
    loss = CRPSLoss(views={name: 1.0})
    found = loss(samples, target, mask=mask)
    other = torch.where(mask.unsqueeze(1) > 0, samples, 7.0)
    torch.testing.assert_close(loss(other, target, mask=mask), found)
    # By hand: the mean over the places inside.
    seen = the_view(name).of_samples(samples), the_view(name)(target)
    inside = the_view(name).of_mask(mask).expand_as(seen[1]) > 0
    torch.testing.assert_close(found, crps(*seen)[inside].mean())


@pytest.mark.parametrize('loss', [CRPSLoss, EnergyScoreLoss])
def test_coefficients_are_those_of_the_target_outside_the_mask(loss):
    samples, target = draw(2, 4, 3, 8, 8).requires_grad_(), draw(2, 3, 8, 8)
    mask = torch.zeros(2, 1, 8, 8)
    mask[0, :, 2:6, 1:7] = mask[1, :, :, :2] = 1
    loss = loss(views=dict(fft=1.0))
    found = loss(samples, target, mask=mask)
    filled = samples * mask.unsqueeze(1) + (target * (1 - mask)).unsqueeze(1)
    expected = loss(filled, target) / mask.mean()
    torch.testing.assert_close(found, expected)
    (grad,) = torch.autograd.grad(found, samples)
    assert (grad * (1 - mask.unsqueeze(1))).abs().max() == 0
    assert grad.abs().max() > 0
    assert loss(samples, target, mask=0 * mask).item() == pytest.approx(0, abs=1e-3)


def test_weights_and_names():
    views = dict(pixel=1, pool16=0.5, diff=3.0, diff_y=2.0, fft=0.25)
    assert [(view.name, weight) for view, weight in views_of(views)] == [
        ('pixel', 1.0),
        ('pool16', 0.5),
        ('diff_x', 1.5),
        ('diff_y', 1.5),
        ('diff_y', 2.0),
        ('fft', 0.25),
    ]
    assert [(v.name, weight) for v, weight in views_of(None)] == [('pixel', 1.0)]


def test_moments_are_those_of_the_view():
    samples, one = torch.zeros(2, 4, 3, 8, 8), torch.ones(2, 3, 8, 8)
    cell = torch.ones(2, 3, 2, 2)
    loss = ProxyMRLoss(views=dict(pool4=10.0, pixel=1.0), value_scale=2.0)
    moments = ViewMoments(one, 2 * one, {'pool4': Moments(3 * cell, 4 * cell)})
    expected = 10 * (6**2 + 16**2) + 2**2 + 8**2
    assert loss(samples, moments).item() == pytest.approx(expected)
    with pytest.raises(UserError, match=r"'pool4', only of pixel.*head for it"):
        loss(samples, Moments(one, one))


@pytest.mark.parametrize(
    ('views', 'words'),
    [
        ({}, r'views must be dict\(<name>=<weight>, \.\.\.\).*got \{\}'),
        ('pixel', "views must be .*got 'pixel'"),
        (dict(pool=1.0), "no view 'pool'; there are pixel, pool4"),
        (dict(pool0=1.0), "'pool0' is the pixels themselves"),
        (dict(pool1=1.0), '\'pool1\' is the pixels themselves: take "pixel"'),
        (dict(diff_z=1.0), "no view 'diff_z'"),
        ({'4': 1.0}, "no view '4'"),
        (dict(pixel=0.0), "the weight of 'pixel' must be positive, got 0.0"),
        (dict(pixel=-1), "the weight of 'pixel' must be positive, got -1"),
        (dict(pixel='1'), "the weight of 'pixel' must be a finite number, got '1'"),
        (dict(fft=float('inf')), "the weight of 'fft' must be a finite number"),
    ],
)
def test_odd_views_are_refused(views, words):
    for build in (views_of, lambda v: CRPSLoss(views=v)):
        with pytest.raises(UserError, match=words):
            build(views)


def test_images_that_a_view_does_not_fit_are_refused():
    samples, target = torch.zeros(2, 4, 3, 1, 6), torch.zeros(2, 3, 1, 6)
    with pytest.raises(UserError, match=r'cells of 2 x 2, and the images are 1 x 6'):
        CRPSLoss(views=dict(pool2=1.0))(samples, target)
    with pytest.raises(UserError, match=r"'diff_y' needs neighbors.* 1 x 6"):
        CRPSLoss(views=dict(diff=1.0))(samples, target)
    with pytest.raises(UserError, match="'fft' sees the whole image: no mask fits"):
        the_view('fft').of_mask(torch.ones(2, 1, 1, 6))
    noise = dict(site=torch.randn(2, 4, 1, 1, 1))
    loss = ModeSeekingLoss(views=dict(fft=1.0))
    with pytest.raises(UserError, match=r'no target to fill it.*leave the view out'):
        loss(samples, noise, mask=torch.ones(2, 1, 1, 6))
