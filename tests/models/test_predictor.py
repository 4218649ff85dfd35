"""The predictor: two heads, no noise, frozen for good."""

import pytest
import torch
from mmagic.registry import MODELS
from mmengine.registry import init_default_scope

import mmagic_mr.plugin  # noqa: F401

UNET = dict(
    type='UnetGenerator',
    in_channels=3,
    out_channels=3,
    num_down=5,
    base_channels=4,
    use_dropout=True,
)
GENERATORS = [
    (UNET, (3, 32, 32), (3, 32, 32)),
    (
        dict(
            type='MSRResNet',
            in_channels=3,
            out_channels=3,
            mid_channels=4,
            num_blocks=1,
        ),
        (3, 8, 8),
        (3, 32, 32),
    ),
    (dict(type='GLEncoderDecoder'), (4, 16, 16), (3, 16, 16)),
]


def build(generator=UNET, **kwargs):
    init_default_scope('mmagic')
    return MODELS.build(dict(type='MomentPredictor', generator=generator, **kwargs))


@pytest.mark.parametrize(('cfg', 'size', 'out'), GENERATORS)
def test_heads_share_their_features(cfg, size, out):
    predictor = build(cfg)
    predictor.thaw()
    center, log_dispersion, _ = predictor(torch.randn(2, *size))
    assert center.shape == log_dispersion.shape == (2, *out)
    # It starts near a dispersion of 1, and reaches all of the network below the head.
    assert log_dispersion.abs().mean() < 0.5
    log_dispersion.sum().backward()
    without = [n for n, p in predictor.named_parameters() if p.grad is None]
    output = f'generator.{predictor.head}'
    assert without == [n for n in without if n.startswith(output)]


def test_the_center_is_the_generators():
    predictor = build()
    stock = MODELS.build(UNET | dict(use_dropout=False)).eval()
    stock.load_state_dict(predictor.generator.state_dict())
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(predictor.moments(x).center, stock(x))


def test_moments_are_positive_and_full_precision():
    predictor = build()
    with torch.autocast('cpu', torch.bfloat16):
        moments = predictor.moments(torch.randn(2, 3, 32, 32))
    assert moments.center.dtype == moments.dispersion.dtype == torch.float32
    assert (moments.dispersion > 0).all()
    assert not moments.center.requires_grad


def test_frozen_stays_frozen_in_training_mode():
    predictor = build()
    assert UNET['use_dropout']  # The config asks for dropout; the predictor has none.
    assert not any(isinstance(m, torch.nn.Dropout) for m in predictor.modules())
    before = {k: v.clone() for k, v in predictor.state_dict().items()}
    predictor.train()
    predictor(torch.randn(4, 3, 32, 32))
    assert not any(m.training for m in predictor.modules())
    after = predictor.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    predictor.thaw()
    predictor.train()
    predictor(torch.randn(4, 3, 32, 32))
    after = predictor.state_dict()
    moved = [k for k in before if not torch.equal(before[k], after[k])]
    assert moved
    assert all(k.split('.')[-1].startswith(('running', 'num_')) for k in moved)


def test_head_that_is_no_convolution():
    with pytest.raises(ValueError, match="head 'conv_last' names no convolution"):
        build(head='conv_last')
