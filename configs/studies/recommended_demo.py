# The recommended configs of the three demos as they are, three seeds each.
#     python tools/compare.py configs/studies/recommended_demo.py
_base_ = './losses_demo.py'

expected = """\
Written before these runs, after one of inpainting. All nine within the bounds that
tools/demo.py checks: the spread 0.9 to 1.1, at least 0.95 of the modes in Pix2Pix and
super-resolution, at least 0.9 in inpainting."""

runs = dict(
    _delete_=True,
    **{
        f'{task}/GAN + CRPS, four views': dict(
            config=f'{host}_recommended_demo.py',
            changes=dict(model={}),
            seeds=(0, 1, 2),
        )
        for task, host in dict(pix2pix='pix2pix', sr='srgan', inpaint='glcic').items()
    },
)
