# The settings of pix2pix_recommended_fonts.py, untouched. Open here is what is local,
# and so z is maps.
_base_ = './_base_/srgan_fonts.py'

model = _base_.mr_recommended
optim_wrapper = dict(generator=_base_.mr_fast, discriminator=_base_.mr_fast)
