from mmagic_mr.hooks.collage import CollageHook
from mmagic_mr.hooks.collapse import SampleCollapseHook
from mmagic_mr.hooks.divergence import DivergenceHook
from mmagic_mr.hooks.predictor_pretrain import PredictorPretrainHook
from mmagic_mr.hooks.spread_control import SpreadControlHook
from mmagic_mr.hooks.status import StatusHook

__all__ = [
    'CollageHook',
    'DivergenceHook',
    'PredictorPretrainHook',
    'SampleCollapseHook',
    'SpreadControlHook',
    'StatusHook',
]
