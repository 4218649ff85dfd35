from .collage import CollageHook
from .collapse import SampleCollapseHook
from .predictor_pretrain import PredictorPretrainHook

__all__ = ['CollageHook', 'PredictorPretrainHook', 'SampleCollapseHook']
