"""Trained models from Python: load one, draw samples, look at them, save them."""

from mmagic_mr.apis.drawing import draw_samples
from mmagic_mr.apis.loading import load_model
from mmagic_mr.apis.result import Moments, Samples, SampleSet

__all__ = ['Moments', 'SampleSet', 'Samples', 'draw_samples', 'load_model']
