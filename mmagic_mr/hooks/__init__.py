from mmagic_mr.hooks.collage import CollageHook
from mmagic_mr.hooks.collapse import SampleCollapseHook
from mmagic_mr.hooks.predictor_pretrain import PredictorPretrainHook

__all__ = ['CollageHook', 'PredictorPretrainHook', 'SampleCollapseHook']
