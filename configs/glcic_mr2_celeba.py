# An experiment: the paper found no setting of MR that works for inpainting.
_base_ = './_base_/glcic_celeba.py'

model = dict(
    # Ours; the authors give none. SRGAN's: but for a constant, order 2 is the same in
    # both ranges of values. min_noise as in the authors' code
    mr_loss=dict(
        type='MRLoss',
        distribution='gaussian',
        order=2,
        loss_weight=20.0,
        min_noise=0.01,
    ),
)
