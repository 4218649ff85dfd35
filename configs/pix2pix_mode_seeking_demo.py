# GAN + L1 + the mode seeking term, which asks for spread and does not know how much:
# its weight is steered by the spread-skill ratio on validation.
_base_ = './_base_/pix2pix_demo.py'

model = dict(
    num_samples=8,
    gen_batch_size=4,
    rec_loss=dict(type='L1Loss', loss_weight=100.0),
    sample_losses=dict(seeking=dict(type='ModeSeekingLoss', loss_weight=100.0)),
)
train_cfg = dict(val_interval=100)
custom_hooks = [dict(type='SpreadControlHook', loss='seeking'), *_base_.custom_hooks]
