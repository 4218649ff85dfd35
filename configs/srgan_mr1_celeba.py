_base_ = './_base_/srgan_celeba.py'

model = dict(
    mr_loss=dict(
        type='MRLoss',
        distribution='gaussian',
        order=1,
        loss_weight=20.0,
    ),
)
