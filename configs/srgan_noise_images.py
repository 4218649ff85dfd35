# Baseline: GAN + 1000 L2 with the same noise, one sample per input.
_base_ = './_base_/srgan_images.py'

model = dict(
    mr_loss=None,
    num_samples=1,
    gen_batch_size=None,
    pixel_loss=dict(type='MSELoss', loss_weight=1000.0),
)
