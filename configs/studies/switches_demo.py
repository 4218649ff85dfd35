# The recommended configs of the three demos with the switches of `--fast` (bfloat16,
# channels last, fused optimizers), beside recommended_demo.py, which has them not:
#     python tools/compare.py configs/studies/switches_demo.py
_base_ = './losses_demo.py'

expected = """\
Written before these runs. The rounding of bfloat16 is far below the noise of a GAN's
training: all nine within the bounds that tools/demo.py checks, and every number within
the range of the three seeds in float32, or as near to it as two seeds are to each
other. Seconds: 0.6 to 0.75 of those in float32, least in super-resolution, whose layers
have the most channels."""

cuts = dict(_delete_=True)
FAST = dict(type='FastOptimWrapper', amp='auto', fused=True)
runs = dict(
    _delete_=True,
    **{
        f'{task}/GAN + CRPS, four views, fast': dict(
            config=f'{host}_recommended_demo.py',
            changes=dict(
                model=dict(channels_last=True),
                optim_wrapper=dict.fromkeys(optimizers, FAST),
            ),
            seeds=(0, 1, 2),
        )
        for task, host, optimizers in (
            ('pix2pix', 'pix2pix', ('generators', 'discriminators')),
            ('sr', 'srgan', ('generator', 'discriminator')),
            ('inpaint', 'glcic', ('generator', 'disc')),
        )
    },
)
