"""The plugin enters the losses in MMagic's registry."""

import importlib

import pytest
from mmagic.registry import MODELS

import mmagic_mr.plugin
from mmagic_mr import losses


@pytest.mark.parametrize('name', sorted({*losses.__all__} - {'SampleLoss'}))
def test_a_config_finds_every_loss(name):
    assert MODELS.get(name) is getattr(losses, name)
    assert MODELS.build(dict(type=name, loss_weight=3.0)).loss_weight == 3


def test_the_base_class_is_not_for_configs():
    assert MODELS.get('SampleLoss') is None


def test_importing_the_plugin_again_is_harmless():
    before = MODELS.get('CRPSLoss')
    importlib.reload(mmagic_mr.plugin)
    assert MODELS.get('CRPSLoss') is before


def test_a_name_that_is_taken_is_refused(monkeypatch):
    class CRPSLoss(losses.CRPSLoss):
        """Another class of that name."""

    CRPSLoss.__module__ = losses.crps.__name__
    monkeypatch.setattr(losses.crps, 'CRPSLoss', CRPSLoss)
    with pytest.raises(KeyError, match='CRPSLoss is already registered'):
        importlib.reload(mmagic_mr.plugin)
