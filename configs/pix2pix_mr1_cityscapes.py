_base_ = './_base_/pix2pix_cityscapes.py'

model = dict(
    mr_loss=dict(type='MRLoss', distribution='gaussian', order=1, loss_weight=10.0),
)
