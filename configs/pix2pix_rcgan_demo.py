# rcGAN's loss; its reward of the spread is steered, since of itself it is right for
# Gaussian data alone, and the GAN has a word in it too.
_base_ = './_base_/pix2pix_demo.py'

model = dict(
    num_samples=8,
    gen_batch_size=4,
    sample_losses=dict(rc=dict(type='RCGANLoss', loss_weight=100.0)),
)
# Often at the start: by a reward that is far too large a generator gets stuck for good
train_cfg = dict(val_interval=20, dynamic_intervals=[(200, 100)])
custom_hooks = [
    dict(type='SpreadControlHook', loss='rc', attribute='spread_weight'),
    *_base_.custom_hooks,
]
