# The settings of pix2pix_recommended_fonts.py, untouched, z included.
_base_ = './_base_/glcic_fonts.py'

model = dict(
    _base_.mr_recommended,
    noise=dict(
        _delete_=True,
        extent='global',
        sites={
            r'(model\.){1,2}(1\.model\.){5}1\.conv': 32,
            r'(model\.){1,2}(1\.model\.){1,4}2\.conv': 32,
        },
    ),
)
optim_wrapper = dict(generator=_base_.mr_fast, disc=_base_.mr_fast)
