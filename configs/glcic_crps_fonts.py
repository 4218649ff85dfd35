# Fair CRPS in four views, its weight set by itself, no predictor.
_base_ = './_base_/glcic_fonts.py'

model = dict(num_samples=6, sample_losses=dict(crps=_base_.mr_crps))
