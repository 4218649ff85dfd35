# Trained by tools/demo.py, beside pix2pix_noise_demo.py.
_base_ = './_base_/pix2pix_demo.py'

model = dict(
    num_samples=8,
    gen_batch_size=4,
    mr_loss=dict(
        type='ProxyMRLoss', distribution='gaussian', order=2, loss_weight=200.0
    ),
    predictor=dict(type='MomentPredictor'),
)
predictor_hook = dict(
    _base_.predictor_hook,
    max_iters=1200,
    val_interval=100,
    patience=12,
    optim_wrapper=dict(
        _base_.mr_optim_wrapper,
        optimizer=dict(_base_.mr_optim_wrapper.optimizer, lr=4e-4),
    ),
)
custom_hooks = [predictor_hook, *_base_.custom_hooks]
