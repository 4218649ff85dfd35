# Trained by `tools/demo.py --task sr`, beside srgan_noise_demo.py.
_base_ = './_base_/srgan_demo.py'

model = dict(
    gen_batch_size=4,
    mr_loss=dict(
        type='ProxyMRLoss', distribution='gaussian', order=2, loss_weight=100.0
    ),
    predictor=dict(type='MomentPredictor'),
)
custom_hooks = [_base_.predictor_hook, *_base_.custom_hooks]
