# Recommended where the paper's own settings are not the point: see mr_recommended.
_base_ = './_base_/pix2pix_cityscapes.py'

model = _base_.mr_recommended
optim_wrapper = dict(generators=_base_.mr_fast, discriminators=_base_.mr_fast)
