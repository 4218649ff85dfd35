"""The table and the figures of docs/losses.md."""

import inspect

import pytest
import torch

from mmagic_mr import losses
from mmagic_mr.reports import loss_cost, loss_figures


def test_every_loss_is_in_the_table():
    classes = {type(make()) for make in loss_cost.FAMILY.values()}
    classes.remove(loss_cost.PlainMR2)  # what MR2 costs elsewhere
    expected = {
        cls
        for cls in vars(losses).values()
        if inspect.isclass(cls) and issubclass(cls, losses.SampleLoss)
    }
    assert classes == expected - {losses.SampleLoss}


def test_the_table_has_a_row_for_each_and_the_reference_is_1():
    names = ['CRPSLoss', 'NDivLoss']
    costs = loss_cost.loss_costs((1, 4, 3, 8, 8), 1, names=names)
    assert [cost.name for cost in costs] == ['MRLoss', *names]
    assert costs[0].ratio == 1
    row = loss_cost.cost_table(costs).splitlines()[2].split('|')
    assert [cell.strip() for cell in (row[1], row[3], row[5])] == [
        'MRLoss',
        '1.0',
        '1.00',
    ]


def test_kept_bytes_are_those_of_each_storage_once():
    x = torch.ones(10, requires_grad=True)
    y = torch.ones(2, 10)
    assert loss_cost.kept_bytes(lambda: (x.exp() * y[0] * y[1]).sum()) == 80 + 40


@pytest.mark.parametrize(('num_samples', 'expected'), [(2, 0.30), (4, 1.0)])
def test_the_variance_that_best_of_k_prefers(num_samples, expected, monkeypatch):
    monkeypatch.setattr(loss_figures, 'DRAWS', 40_000)
    found = loss_figures.best_of_pixels(num_samples)
    assert found == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ('make', 'variance'),
    [
        (lambda: losses.CRPSLoss(alpha=0.0), loss_figures.almost_fair(0.0)),
        (
            lambda: losses.RCGANLoss(estimator='released'),
            loss_figures.released_rcgan,
        ),
        (losses.RCGANLoss, lambda num_samples: 1.0),
        (
            lambda: losses.EnergyScoreLoss(patch=1, beta=0.5),
            lambda num_samples: 1.0,
        ),
    ],
    ids=['plain crps', 'rcgan as released', 'rcgan', 'energy'],
)
def test_curves_in_closed_form_are_those_of_the_losses(make, variance, monkeypatch):
    monkeypatch.setattr(loss_figures, 'DRAWS', 80_000)
    found = loss_figures.preferred_variance(make(), 4)
    assert found == pytest.approx(variance(4), rel=0.06)


def test_known_values_of_the_curves():
    curves = loss_figures.PREFERRED
    assert curves['MR2'](2) is None
    assert curves['MR2'](10) == pytest.approx(1.286, abs=1e-3)
    assert curves['proxy MR2'](10) == pytest.approx(0.777, abs=1e-3)
    assert curves['variogram score, plain'](4) == pytest.approx(0.84, abs=5e-3)
    assert curves['rcGAN as released'](8) == pytest.approx(0.92, abs=5e-3)


def test_the_figures_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(loss_figures, 'INPUTS', 400)
    monkeypatch.setattr(loss_figures, 'DRAWS', 2000)
    monkeypatch.setattr(loss_figures, 'COUNTS', (2, 4))
    found = loss_figures.structure_scores()
    exact, independent = found['CRPS, diff_x']
    assert (exact, independent) == pytest.approx((0.252, 0.385), rel=0.1)
    loss_figures.draw_structure(tmp_path / 'a' / 'structure.png', found)
    loss_figures.draw_preferred(tmp_path / 'k.png')
    for file in (tmp_path / 'a' / 'structure.png', tmp_path / 'k.png'):
        assert file.read_bytes().startswith(b'\x89PNG')
