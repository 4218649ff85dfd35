# Proxy MR2, fair at K = 8, with the weight of the demo, which has the same range.
_base_ = './_base_/glcic_fonts.py'

model = dict(
    mr_loss=dict(type='ProxyMRLoss', order=2, loss_weight=100.0, estimator='unbiased'),
    predictor=dict(type='MomentPredictor'),
)
custom_hooks = [_base_.predictor_hook, *_base_.custom_hooks]
