_base_ = './_base_/pix2pix_cityscapes.py'

model = dict(
    # the authors' code; the paper gives 10, without naming the dataset
    mr_loss=dict(type='ProxyMRLoss', distribution='laplace', order=1, loss_weight=1.0),
    predictor=dict(type='MomentPredictor'),
)
custom_hooks = [_base_.predictor_hook, *_base_.custom_hooks]
