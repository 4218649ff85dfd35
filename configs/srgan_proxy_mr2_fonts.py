# Proxy MR2, fair at K = 8, with the paper's weight for CelebA.
_base_ = './_base_/srgan_fonts.py'

model = dict(
    mr_loss=dict(type='ProxyMRLoss', order=2, loss_weight=2400.0, estimator='unbiased'),
    predictor=dict(type='MomentPredictor'),
)
custom_hooks = [_base_.predictor_hook, *_base_.custom_hooks]
