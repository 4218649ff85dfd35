_base_ = './_base_/pix2pix_maps.py'

model = dict(
    mr_loss=dict(type='MRLoss', distribution='laplace', order=1, loss_weight=10.0),
)
