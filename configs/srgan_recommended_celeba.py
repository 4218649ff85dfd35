# Recommended where the paper's own settings are not the point: see mr_recommended.
_base_ = './_base_/srgan_celeba.py'

model = _base_.mr_recommended
optim_wrapper = dict(generator=_base_.mr_fast, discriminator=_base_.mr_fast)
