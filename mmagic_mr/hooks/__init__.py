from .predictor_pretrain import PredictorPretrainHook

__all__ = ['PredictorPretrainHook']
