# Letters: what else might bring the two letters of a sample into one typeface, at the
# four minutes of fonts.py. All of it is the recommended config but for what a row says.
#     python tools/compare.py configs/studies/fonts_style.py
# docs/results.md has what came of it.
_base_ = './fonts.py'

expected = """\
Not written before the runs, so this is no prediction. The recommended config had a
style consistency of 0.13 after twelve minutes, where a perfect sampler has 0.42; each
of these was tried in turn, in the hope of more: scores of the whole picture, which see
that its parts belong together (energy score, kernel score at the distances between
typefaces, Fourier coefficients); a wider network, a higher rate; more of the GAN, which
sees both letters at once; more inputs and fewer samples, since a training of four
minutes meets each letter of each typeface less than once."""

VIEWS = dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0)
FAST = dict(type='FastOptimWrapper', amp='auto', fused=True)


def cell(seconds, updates=FAST, **model):
    iters = int(240 / seconds) // 50 * 50
    decay = dict(
        type='LinearLR',
        start_factor=1,
        end_factor=0.01,
        begin=3 * iters // 5,
        end=iters,
        by_epoch=False,
    )
    changes = dict(
        model=dict(model, channels_last=True, recompute=False),
        optim_wrapper=dict(generators=updates, discriminators=FAST),
        train_cfg=dict(max_iters=iters, val_interval=iters),
        param_scheduler=dict(generators=[decay], discriminators=[decay]),
        default_hooks=dict(checkpoint=dict(interval=250)),
    )
    return dict(config='pix2pix_recommended_fonts.py', changes=changes)


def auto(kind, **options):
    return dict(type=kind, loss_weight='auto', **options)


ENERGY = dict(_delete_=True, e=auto('EnergyScoreLoss', views=VIEWS))
KERNEL = dict(k=auto('KernelScoreLoss', bandwidths=(0.1, 0.2, 0.4)))
FOURIER = dict(crps=dict(views=dict(VIEWS, fft=1.0)))
runs = dict(
    _delete_=True,
    **{
        'recommended': cell(0.27),
        'energy score of the picture, in views': cell(0.29, sample_losses=ENERGY),
        'and kernel score of the picture': cell(0.29, sample_losses=KERNEL),
        'and a Fourier view': cell(0.29, sample_losses=FOURIER),
        'twice the channels': cell(0.45, generator=dict(base_channels=64)),
        'three times the rate': cell(0.27, dict(FAST, optimizer=dict(lr=1.5e-3))),
        'balance 0.3': cell(0.27, balance=0.3),
        'balance 0.1': cell(0.27, balance=0.1),
        '8 inputs, 3 samples': cell(0.28, gen_batch_size=8, num_samples=3),
    },
)
