_base_ = './_base_/srgan_celeba.py'

model = dict(
    mr_loss=dict(
        type='ProxyMRLoss', distribution='laplace', order=2, loss_weight=2400.0
    ),
    predictor=dict(type='MomentPredictor'),
)
custom_hooks = [_base_.predictor_hook, *_base_.custom_hooks]
