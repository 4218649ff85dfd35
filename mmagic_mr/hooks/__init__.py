from mmagic_mr.hooks.collage import CollageHook
from mmagic_mr.hooks.collapse import SampleCollapseHook
from mmagic_mr.hooks.divergence import DivergenceHook
from mmagic_mr.hooks.predictor_pretrain import PredictorPretrainHook

__all__ = [
    'CollageHook',
    'DivergenceHook',
    'PredictorPretrainHook',
    'SampleCollapseHook',
]
