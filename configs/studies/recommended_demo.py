# The recommended configs of the three demos as they are, three seeds each; and with all
# of what results.md recommends on letters, the average of the weights and `--fast`.
#     python tools/compare.py configs/studies/recommended_demo.py
_base_ = './losses_demo.py'

expected = """\
Written before these runs, after one of inpainting. All nine within the bounds that
tools/demo.py checks: the spread 0.9 to 1.1, at least 0.95 of the modes in Pix2Pix and
super-resolution, at least 0.9 in inpainting.

Added later, before its runs. With the average of the weights: the same within the
seeds, a distance to a mode somewhat less; the spread a hundredth or two less."""

FAST = dict(type='FastOptimWrapper', amp='auto', fused=True)
TASKS = dict(
    pix2pix=('pix2pix', ('generators', 'discriminators')),
    sr=('srgan', ('generator', 'discriminator')),
    inpaint=('glcic', ('generator', 'disc')),
)

runs = dict(
    _delete_=True,
    **{
        f'{task}/GAN + CRPS, four views': dict(
            config=f'{host}_recommended_demo.py',
            changes=dict(model={}),
            seeds=(0, 1, 2),
        )
        for task, (host, _) in TASKS.items()
    },
    **{
        f'{task}/the same, weights averaged': dict(
            config=f'{host}_recommended_demo.py',
            changes=dict(
                model=dict(ema=dict(decay=0.999), channels_last=True),
                optim_wrapper=dict.fromkeys(optimizers, FAST),
            ),
        )
        for task, (host, optimizers) in TASKS.items()
    },
)
