# Baseline: GAN alone, with the same noise, one sample per input.
_base_ = './pix2pix_noise_fonts.py'

model = dict(loss_config=dict(pixel_loss_weight=0.0))
