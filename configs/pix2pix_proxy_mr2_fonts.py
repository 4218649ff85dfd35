# Proxy MR2, fair at K = 8, with the paper's weight for Cityscapes.
_base_ = './_base_/pix2pix_fonts.py'

model = dict(
    mr_loss=dict(type='ProxyMRLoss', order=2, loss_weight=10.0, estimator='unbiased'),
    predictor=dict(type='MomentPredictor'),
)
custom_hooks = [_base_.predictor_hook, *_base_.custom_hooks]
