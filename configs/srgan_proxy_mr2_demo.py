# Trained by `tools/demo.py --task sr`, beside srgan_noise_demo.py.
_base_ = './_base_/srgan_demo.py'

model = dict(
    gen_batch_size=4,
    # Variances are small here (0.06), and of the 'paper' estimator's hidden penalty,
    # the variance / K, they would not be left
    mr_loss=dict(
        type='ProxyMRLoss',
        distribution='gaussian',
        order=2,
        loss_weight=50.0,
        estimator='unbiased',
    ),
    predictor=dict(type='MomentPredictor'),
)
custom_hooks = [_base_.predictor_hook, *_base_.custom_hooks]
