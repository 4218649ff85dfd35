# Baseline, the paper's loss, and what fonts.py recommends, on letters: three tasks with
# one setting of loss, balance, K and averaging.
#     python tools/compare.py configs/studies/fonts_recipe.py
# docs/results.md has what came of it.
_base_ = './fonts.py'

expected = """\
Written before any of these runs, after the first ten of fonts.py, which had a quarter
of the seconds.

Pix2Pix. GAN + L1: spread 0.15, FID 13, precision 0.92, no consistency. Proxy MR2: a
spread of 1, FID 25, precision 0.88, consistency 0.12. Recommended: a spread of 0.95 to
1.05 at all scales; an energy distance of 0.01, less than a tenth of the baseline's, at
most; LPIPS of the best a half; FID 14, so about the baseline's, and precision 0.90,
somewhat less; consistency 0.2, half of what a perfect sampler has and not 0.7 of it.

Super-resolution: GAN + L2 has a spread of 0.2, FID 5, 38 dB. Proxy MR2 at the paper's
weight: 0.6, noise on white paper, below 30 dB. Recommended: a spread of 0.85, FID 7,
above 34 dB.

Inpainting: GAN + L2 a gray blot, spread below 0.1. Proxy MR2: a spread of 0.9, blots.
Recommended: a spread of 0.9, blends of letters, FID half the baseline's.

Added when the rest was in, before its run: the recommended one for 36 minutes. Four
minutes had a consistency of 0.12, twelve 0.13; so 0.15, FID 11, energy distance
0.005."""

# Of two inputs in each run's picture
cuts = {
    'input': (4, 158, 132, 418),
    'a real answer': (136, 158, 264, 418),
    'sample mean': (400, 158, 528, 418),
    'eight of the samples': (796, 158, 1848, 418),
}
numbers = {'reconstruction/LR-PSNR_mean': 'LR-PSNR [dB]'}

# Task, method: config, seconds of an iteration and, of a proxy loss, of its predictor
# in all. The same seconds of one processor for all runs of a task, as in fonts.py
BUDGET = dict(pix2pix=720, sr=480, inpaint=480)
METHODS = {
    'pix2pix/GAN + L1': ('pix2pix_noise_fonts.py', 0.25, 0),
    'pix2pix/recommended': ('pix2pix_recommended_fonts.py', 0.27, 0),
    'pix2pix/proxy MR2': ('pix2pix_proxy_mr2_fonts.py', 0.28, 150),
    'sr/GAN + L2': ('srgan_noise_fonts.py', 0.18, 0),
    'sr/recommended': ('srgan_recommended_fonts.py', 0.23, 0),
    'inpaint/GAN + L2': ('glcic_noise_fonts.py', 0.28, 0),
    'inpaint/recommended': ('glcic_recommended_fonts.py', 0.30, 0),
    'sr/proxy MR2': ('srgan_proxy_mr2_fonts.py', 0.27, 100),
    'inpaint/proxy MR2': ('glcic_proxy_mr2_fonts.py', 0.33, 100),
    # Three times as long
    'pix2pix/recommended, 36 minutes': ('pix2pix_recommended_fonts.py', 0.27, 0, 3),
}
OPTIMIZERS = dict(
    pix2pix=('generators', 'discriminators'),
    sr=('generator', 'discriminator'),
    inpaint=('generator', 'disc'),
)
FAST = dict(type='FastOptimWrapper', amp='auto', fused=True)
LONGER = dict(_base_.PREDICTOR, max_iters=1200)


def cell(name, config, seconds, predictor, longer=1):
    task, _, method = name.partition('/')
    iters = int((longer * BUDGET[task] - predictor) / seconds) // 50 * 50
    decay = dict(
        type='LinearLR',
        start_factor=1,
        end_factor=0.01,
        begin=3 * iters // 5,
        end=iters,
        by_epoch=False,
    )
    changes = dict(
        model=dict(channels_last=True, recompute=False),
        optim_wrapper=dict.fromkeys(OPTIMIZERS[task], FAST),
        train_cfg=dict(max_iters=iters, val_interval=iters),
        param_scheduler={key: [decay] for key in OPTIMIZERS[task]},
        default_hooks=dict(checkpoint=dict(interval=250)),
    )
    if predictor:
        changes['custom_hooks'] = [LONGER]
    several = task == 'pix2pix' and method in ('GAN + L1', 'recommended')
    return dict(config=config, changes=changes, seeds=(0, 1, 2) if several else (0,))


runs = dict(
    _delete_=True,
    **{name: cell(name, *settings) for name, settings in METHODS.items()},
)
