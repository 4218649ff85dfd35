# What the studies on these pictures recommend: docs/results.md has the tables.
_base_ = './_base_/pix2pix_fonts.py'

model = dict(
    # A strictly proper scoring rule: the right spread and no predictor. Four views, for
    # what neighbors do together. Its weight keeps its gradient as large as the GAN's
    sample_losses=dict(crps=_base_.mr_crps),
    # It is fair at any K, and more samples gain little for their time
    num_samples=6,
    # One z for the picture, at 1x1 to 16x16: a typeface is of the whole picture, and
    # where strokes are drawn the network can still ask which one it is
    noise=dict(
        _delete_=True,
        extent='global',
        sites={
            r'(model\.){1,2}(1\.model\.){5}1\.conv': 32,
            r'(model\.){1,2}(1\.model\.){1,4}2\.conv': 32,
        },
    ),
    # Cleaner letters at the end: samples are drawn with the average of the weights
    ema=dict(decay=0.999),
    channels_last=True,
)
optim_wrapper = dict(generators=_base_.mr_fast, discriminators=_base_.mr_fast)
