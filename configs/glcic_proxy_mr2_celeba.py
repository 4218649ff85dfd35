_base_ = './_base_/glcic_celeba.py'

model = dict(
    # The paper's 1000 is for sums over the three channels, divided by the number of the
    # hole's pixels; ours is the mean over all elements, a third of that
    mr_loss=dict(
        type='ProxyMRLoss', distribution='gaussian', order=2, loss_weight=3000.0
    ),
    predictor=dict(type='MomentPredictor'),
)
custom_hooks = [_base_.predictor_hook, *_base_.custom_hooks]
