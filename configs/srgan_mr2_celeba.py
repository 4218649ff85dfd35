_base_ = './_base_/srgan_celeba.py'

model = dict(
    mr_loss=dict(
        type='MRLoss',
        distribution='gaussian',
        order=2,
        loss_weight=20.0,
        min_noise=1e-4,  # as the authors' code; the paper is silent
    ),
)
