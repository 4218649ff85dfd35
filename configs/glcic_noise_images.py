# Baseline: GAN + 100 L2 with the same noise, one sample per input. The mean is over the
# hole; the authors' code takes it over the whole image, of which the hole is a fifth.
_base_ = './_base_/glcic_images.py'

model = dict(
    mr_loss=None,
    num_samples=1,
    gen_batch_size=None,
    loss_l1_hole=dict(type='MSELoss', loss_weight=100.0),
)
