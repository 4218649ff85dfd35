_base_ = './_base_/srgan_celeba.py'

model = dict(
    # 30 in the authors' code
    mr_loss=dict(
        type='MRLoss',
        distribution='laplace',
        order=2,
        loss_weight=20.0,
        min_noise=0.01,  # as the authors' code; the paper is silent
    ),
)
