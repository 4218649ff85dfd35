"""How pixels go together: what each loss sees of it, in each view.

The truth is an autoregressive field of 16 pixels with the correlation 0.9 from one to
the next, which is constant along the columns of an image. One sampler is exact, the
other has the same pixels, but draws them independently of each other.
"""

import pytest
import torch

from mmagic_mr.losses import (
    CRPSLoss,
    EnergyScoreLoss,
    KernelScoreLoss,
    RCGANLoss,
    VariogramScoreLoss,
)

CORRELATION, WIDTH, K, INPUTS = 0.9, 16, 4, 10_000
LAG = (torch.arange(WIDTH) - torch.arange(WIDTH).unsqueeze(1)).abs()
COVARIANCE = (CORRELATION**LAG).double()
SIDE = 4  # root of the elements in a patch of 4 x 4, and of those in a row of 16


@pytest.fixture(scope='module')
def fields():
    """Targets, exact samples, and independent ones, as single rows."""
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(2 * K + 1, INPUTS, 1, 1, WIDTH, generator=generator)
    root = torch.linalg.cholesky(COVARIANCE).float()
    fields = z[: K + 1] @ root.T
    return fields[0], fields[1:].movedim(0, 1), z[K + 1 :].movedim(0, 1)


def scores(loss, fields, height=1):
    """Of the exact and of the independent sampler."""
    target, *samplers = (f.expand(*f.shape[:-2], height, WIDTH) for f in fields)
    with torch.no_grad():
        return [loss(samples, target).item() for samples in samplers]


def view_of(name, **options):
    return CRPSLoss(views={name: 1.0}, **options)


@pytest.mark.parametrize(
    ('loss', 'height', 'norm', 'expected'),
    [
        (view_of('pixel'), 1, 1, (0.553, 0.558)),
        (EnergyScoreLoss(), 1, SIDE, (0.638, 0.667)),
        (EnergyScoreLoss(patch=4), 4, SIDE, (0.594, 0.633)),
        (view_of('pool4'), 4, 1, (0.518, 0.559)),
        (view_of('diff_x'), 1, 1, (0.253, 0.385)),
        (VariogramScoreLoss(p=1.0, offsets=((0, 1),)), 1, 1, (0.07, 0.67)),
    ],
    ids=['pixel', 'energy', 'patch', 'pool4', 'diff', 'variogram'],
)
def test_numbers(fields, loss, height, norm, expected):
    found = [score / norm for score in scores(loss, fields, height)]
    print(f'exact {found[0]:.4f}, independent {found[1]:.4f}')
    # Of two digits the first of them is known to half a unit of the second.
    assert found == pytest.approx(expected, rel=0.05, abs=0.005)


def of_one_row(name):
    """The view of each of 16 unit rows: a matrix of (16, elements of the view)."""
    (view, _), *rest = view_of(name).views
    assert not rest
    height = int(name.removeprefix('pool')) if name.startswith('pool') else 1
    basis = torch.eye(WIDTH).double().view(WIDTH, 1, 1, WIDTH)
    return view(basis.expand(-1, -1, height, -1)).flatten(1), height


@pytest.mark.parametrize(
    'name', ['pixel', 'pool2', 'pool4', 'pool8', 'pool16', 'diff_x', 'fft']
)
def test_crps_in_a_linear_view_has_a_closed_form(fields, name):
    matrix, height = of_one_row(name)
    data = (matrix * (COVARIANCE @ matrix)).sum(0)
    expected = []
    for samples in (data, matrix.square().sum(0)):
        near = (data + samples).sqrt()
        apart = (2 * samples).sqrt() / 2
        expected.append((near - apart).mean().item() * (2 / torch.pi) ** 0.5)
    found = scores(view_of(name), fields, height)
    assert found == pytest.approx(expected, rel=0.015)
    gap = expected[1] - expected[0]
    assert found[1] - found[0] == pytest.approx(gap, rel=0.1, abs=0.003)
    # Pixels alone see nothing; all others do.
    assert gap == pytest.approx(0, abs=1e-12) if name == 'pixel' else gap > 0.005


@pytest.mark.parametrize('name', ['pixel', 'pool4', 'pool16', 'diff', 'fft'])
@pytest.mark.parametrize(
    'loss',
    [
        CRPSLoss,
        lambda views: CRPSLoss(alpha=0.95, views=views),
        lambda views: KernelScoreLoss(patch=1, views=views),
        lambda views: EnergyScoreLoss(patch=1, beta=0.5, views=views),
        lambda views: RCGANLoss(views=views),
    ],
    ids=['crps', 'almost fair', 'kernel', 'energy', 'rcgan'],
)
def test_losses_of_single_elements_see_structure_in_every_view_but_pixels(
    fields, loss, name
):
    few = [values[:1000] for values in fields]
    height = dict(pool16=16, pool4=4, diff=2).get(name, 1)
    exact, independent = scores(loss(views={name: 1.0}), few, height)
    if name == 'pixel':
        assert independent - exact == pytest.approx(0, abs=0.02)
    else:
        assert independent - exact > 0.01


@pytest.mark.parametrize('name', ['pixel', 'pool2', 'fft'])
def test_the_energy_score_of_the_whole_sees_structure_in_every_view(fields, name):
    loss = EnergyScoreLoss(views={name: 1.0})
    exact, independent = scores(loss, fields, 2 if name == 'pool2' else 1)
    assert 1.015 < independent / exact < 1.15


def test_the_sum_of_views_is_the_sum_of_the_scores(fields):
    few = [values[:500] for values in fields]
    views = {'pixel': 1.0, 'pool4': 0.5, 'diff': 2.0, 'fft': 0.25}
    apart = [
        [weight * score for score in scores(view_of(name), few, 4)]
        for name, weight in views.items()
    ]
    together = scores(CRPSLoss(views=views), few, 4)
    expected = [sum(column) for column in zip(*apart, strict=True)]
    assert together == pytest.approx(expected, rel=1e-5)
