# Recommended where the paper's own settings are not the point: see mr_recommended.
_base_ = './_base_/glcic_celeba.py'

model = _base_.mr_recommended
optim_wrapper = dict(generator=_base_.mr_fast, disc=_base_.mr_fast)
