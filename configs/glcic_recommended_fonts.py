# The settings of pix2pix_recommended_fonts.py, untouched; it has the reasons.
_base_ = './_base_/glcic_fonts.py'

model = dict(
    sample_losses=dict(crps=_base_.mr_crps),
    num_samples=6,
    noise=dict(
        _delete_=True,
        extent='global',
        sites={
            r'(model\.){1,2}(1\.model\.){5}1\.conv': 32,
            r'(model\.){1,2}(1\.model\.){1,4}2\.conv': 32,
        },
    ),
    ema=dict(decay=0.999),
    channels_last=True,
)
optim_wrapper = dict(generator=_base_.mr_fast, disc=_base_.mr_fast)
