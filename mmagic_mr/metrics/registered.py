"""The metrics for MMagic's evaluator: thin classes over the functions beside them.

All take the `samples` that the model's test step leaves in each data sample, so the K
samples are drawn once, whatever number of metrics there are.
"""

from mmagic_mr.metrics.quality import SampleFidelity, SampleReconstruction
from mmagic_mr.metrics.spread import MomentCalibration, SampleDiversity

__all__ = [
    'MomentCalibration',
    'SampleDiversity',
    'SampleFidelity',
    'SampleReconstruction',
]
