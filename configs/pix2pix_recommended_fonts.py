# Recommended, on letters: see mr_recommended, and z where docs/results.md says.
_base_ = './_base_/pix2pix_fonts.py'

model = dict(
    _base_.mr_recommended,
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
)
optim_wrapper = dict(generators=_base_.mr_fast, discriminators=_base_.mr_fast)
