_base_ = './_base_/srgan_celeba.py'

model = dict(
    # 30 in the authors' code
    mr_loss=dict(
        type='MRLoss',
        distribution='laplace',
        order=1,
        loss_weight=20.0,
    ),
)
