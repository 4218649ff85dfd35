# An experiment: the paper found no setting of MR that works for inpainting.
_base_ = './_base_/glcic_celeba.py'

model = dict(
    # Ours; the authors give none. The baseline's, since both are squared differences
    mr_loss=dict(type='MRLoss', distribution='gaussian', order=1, loss_weight=100.0),
)
