# Recommended for one's own pictures: see mr_recommended, of which K is a variable here.
_base_ = './_base_/pix2pix_paired.py'

model = dict(
    sample_losses=_base_.mr_recommended.sample_losses,
    ema=_base_.mr_recommended.ema,
)
