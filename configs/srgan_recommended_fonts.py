# The settings of pix2pix_recommended_fonts.py, untouched, which has the reasons. Open
# here is what is local, and so z is maps.
_base_ = './_base_/srgan_fonts.py'

model = dict(
    sample_losses=dict(crps=_base_.mr_crps),
    num_samples=6,
    ema=dict(decay=0.999),
    channels_last=True,
)
optim_wrapper = dict(generator=_base_.mr_fast, discriminator=_base_.mr_fast)
