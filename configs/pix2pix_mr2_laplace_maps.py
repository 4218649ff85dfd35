_base_ = './_base_/pix2pix_maps.py'

model = dict(
    # the authors' code; the paper gives 10, without naming the dataset
    mr_loss=dict(type='MRLoss', distribution='laplace', order=2, loss_weight=1.0),
)
