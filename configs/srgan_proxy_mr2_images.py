# The paper's loss on one's own pictures. Its weight is balanced against the GAN, since
# nobody knows it for them; 'unbiased' allows for few samples.
_base_ = './_base_/srgan_images.py'

model = dict(
    mr_loss=dict(
        type='ProxyMRLoss',
        distribution='gaussian',
        order=2,
        loss_weight='auto',
        estimator='unbiased',
    ),
    predictor=dict(type='MomentPredictor'),
)
custom_hooks = [_base_.predictor_hook, *_base_.custom_hooks]
