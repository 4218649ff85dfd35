# MR2, fair at K = 8, its weight set by itself; with a floor under the variances, since
# paper that is white in all answers has none.
_base_ = './_base_/srgan_fonts.py'

model = dict(
    mr_loss=dict(
        type='MRLoss',
        order=2,
        loss_weight='auto',
        estimator='unbiased',
        min_noise=1e-4,
    )
)
