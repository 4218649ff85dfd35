_base_ = './_base_/pix2pix_maps.py'

model = dict(
    mr_loss=dict(type='ProxyMRLoss', distribution='laplace', order=2, loss_weight=10.0),
    predictor=dict(type='MomentPredictor'),
)
custom_hooks = [_base_.predictor_hook, *_base_.custom_hooks]
