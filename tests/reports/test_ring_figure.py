"""The ring of eight modes: what is counted, predicted and drawn."""

import pytest
import torch
from PIL import Image

from mmagic_mr import losses
from mmagic_mr.reports import ring_figure
from mmagic_mr.reports.method_figures import ring


def test_the_data_have_eight_modes_and_the_predicted_moments():
    points = ring(50_000, torch.Generator().manual_seed(3))
    assert ring_figure.modes_covered(points) == 8
    center, variance = (moment[0].flatten() for moment in ring_figure.PREDICTED)
    torch.testing.assert_close(points.mean(dim=0), center, atol=0.02, rtol=0)
    torch.testing.assert_close(points.var(dim=0), variance, atol=0.01, rtol=0)


def test_a_mode_that_one_point_in_a_hundred_finds_is_not_covered():
    points = torch.tensor([[1.0, 0.0]]).repeat(100, 1)
    points[0] = torch.tensor([0.0, 1.0])
    assert ring_figure.modes_covered(points) == 1


def test_the_term_teaches_beside_the_gan(monkeypatch):
    monkeypatch.setattr(ring_figure, 'STEPS', 150)
    spread = {
        name: ring_figure.learned_with_gan(make(100.0)).std(dim=0).mean().item()
        for name, make in ring_figure.TERMS.items()
    }
    assert spread['L2'] < 0.2
    assert spread['proxy MR2'] == pytest.approx(0.709, abs=0.15)


def test_it_is_drawn_and_counted(tmp_path, monkeypatch):
    def crps(weight):
        return losses.CRPSLoss(loss_weight=weight)

    monkeypatch.setattr(ring_figure, 'STEPS', 2)
    monkeypatch.setattr(ring_figure, 'TERMS', {'CRPS': crps})
    text = ring_figure.draw_ring(tmp_path / 'ring.png')
    heads, _, nothing, last = text.splitlines()
    assert heads == '| GAN and | weight 1 | weight 100 |'
    assert nothing.startswith('| nothing | 0, 0, 0 |')
    assert last.count('0, 0, 0') == 2
    assert Image.open(tmp_path / 'ring.png').size[0] > 500
