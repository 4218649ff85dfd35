"""The figures of docs/method.md show what its text says."""

import pytest

from mmagic_mr import losses
from mmagic_mr.reports import method_figures as figures
from mmagic_mr.reports.loss_figures import correlated_images


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    monkeypatch.setattr(figures, 'INPUTS', 2000)
    monkeypatch.setattr(figures, 'STEPS', 150)


@pytest.mark.parametrize(
    ('name', 'best'),
    [
        ('L1 of each sample', 0.1),
        ('MR2, unbiased', 1.0),
        ('CRPS', 1.0),
        ('mode seeking', 2.0),
    ],
)
def test_where_each_loss_is_least(name, best):
    spreads = [0.1 * step for step in range(1, 21)]
    values = figures.values_of_spread(figures.JUDGES[name](), spreads)
    assert min(values) == 0
    assert max(values[4:]) == pytest.approx(1)
    assert spreads[values.index(0)] == pytest.approx(best, abs=0.11)


def test_a_score_learns_the_spread_of_the_ring_and_l2_a_point():
    point = figures.learned(figures.EachSampleL2(), count=200)
    assert point.norm(dim=1).max() < 0.3
    ring = figures.learned(losses.EnergyScoreLoss(), count=200)
    assert ring.std(dim=0).tolist() == pytest.approx([0.71, 0.71], rel=0.25)


def test_views_tell_the_samplers_apart_that_pixels_do_not():
    exact, independent = correlated_images(10, 6)

    def score(drawn, view):
        loss = losses.CRPSLoss(views={view: 1.0})
        return loss(drawn[:, 1:], exact[:, 0]).item()

    assert score(independent, 'pixel') == pytest.approx(score(exact, 'pixel'), rel=0.1)
    for view in 'pool4', 'diff_x':
        assert score(independent, view) > 1.1 * score(exact, view), view


def test_they_are_drawn(tmp_path):
    figures.draw_spread(tmp_path / 'a' / 'spread.png')
    figures.draw_views(tmp_path / 'views.png', inputs=2)
    for file in (tmp_path / 'a' / 'spread.png', tmp_path / 'views.png'):
        assert file.read_bytes().startswith(b'\x89PNG')
