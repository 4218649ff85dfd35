# Trained by `tools/demo.py --task inpaint`, beside glcic_noise_demo.py.
_base_ = './_base_/glcic_demo.py'

model = dict(
    gen_batch_size=4,
    # The 'paper' estimator's hidden penalty, the variance / K, is large beside the
    # squares of variances as small as these (0.25)
    mr_loss=dict(
        type='ProxyMRLoss',
        distribution='gaussian',
        order=2,
        loss_weight=100.0,
        estimator='unbiased',
    ),
    predictor=dict(type='MomentPredictor'),
)
custom_hooks = [_base_.predictor_hook, *_base_.custom_hooks]
