# Recommended for one's own pictures: fair CRPS in four views, its weight set by itself.
_base_ = './_base_/srgan_images.py'

model = dict(sample_losses=dict(crps=_base_.mr_crps))
