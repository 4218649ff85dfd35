# Two letters in one typeface, where an input has 86 real answers: every kind of loss at
# the same seconds of training, and what matters beside the loss. One seed, few seconds:
# it tells which to take. fonts_recipe.py trains longer, in all three tasks.
#     python tools/compare.py configs/studies/fonts.py
# docs/fonts.md says what the data are and what a perfect sampler scores.

expected = """\
Written before any of these runs, after those on other real pairs and the demos, for 20
minutes each; there were four, so all of it should be less far.

GAN + L1 and GAN alone collapse: spread below 0.2, one to three typefaces of 86
reached, a style consistency of 0, an energy distance no less than the exact mean's,
0.09. The proper scoring rules have a spread of 0.85 to 1.05 and an energy distance
below 0.03, a third of the baseline's; the energy score, which is that distance, a
little less than the CRPS; the kernel score, best of the demos, as the CRPS. Views
change little where one z serves the whole image, since its samples hang together
anyway: a better FID and consistency, the same spread. Proxy MR2 at weight 10: the
spread right, the energy distance of the CRPS or somewhat more, as two moments are all
it sees and the distance sees little else; blends of typefaces, so less consistency and
more distance to the nearest. MR2: a spread of 0.7. rcGAN collapses, as in the demo.
Mode seeking stays below half of the spread, DSGAN has 0.5 to 0.9 of it; energy
distances between the baseline's and the scoring rules'. FID is better for all that have
spread, since one typeface for all inputs is not the law of the targets either;
precision is the collapsed ones'.

Beside the loss, with CRPS in views. z as maps: the same spread of pixels, half the
style consistency, for at 2x2 and 4x4 the two letters have noise of their own. K = 3: a
little worse, with a fifth more updates; K = 12: the same, with a fifth fewer. EMA: a
better FID and energy distance, the spread 0.05 less. Balance 0.3: sharper, and a spread
of 0.7 to 0.9; balance 3: the spread right, and blurred. Consistency by pixels: 0.2 to
0.3 for the best, where the perfect sampler has 0.42, so no run has 0.7 of it in so few
minutes; 40 to 60 typefaces reached of 78.

Added when the first four were in (CRPS in views: spread 0.86, consistency 0.05, 19
typefaces reached), before its runs. One of 128 codes for z: typefaces are a list, and a
network that is given a list need not fold one into a Gaussian: consistency doubled, and
cleaner letters. z up to 16x16, where strokes are drawn: bolder and finer ones within
reach, a few more typefaces reached."""

prepare = ['{tools}/prepare_data.py fonts data/fonts']
FEATURES = '[alexnet-conv5-mean]'
numbers = {
    'calibration/spread_skill': 'spread-skill',
    'calibration/cells4/spread_skill': 'the same, cells of 4',
    'calibration/cells16/spread_skill': 'of 16',
    'answers/energy': 'energy distance to the answers',
    'answers/mmd': 'MMD² to the answers',
    'style/pixel': 'style consistency, pixel',
    'style/lpips': 'style consistency, LPIPS',
    'style/reached': 'typefaces reached by 200',
    'style/distance': 'distance to the nearest',
    f'fidelity/FID{FEATURES}': 'FID-alex',
    f'fidelity/precision{FEATURES}': 'precision',
    f'fidelity/recall{FEATURES}': 'recall',
    'reconstruction/LPIPS_best': 'LPIPS best of 20',
}

# The same seconds of one processor for every run: its iterations are these seconds over
# what one of its iterations takes, measured beforehand: one thread, two runs at a time,
# least of several rounds. Iterations and not a clock, so that a run repeats, and one
# that was killed ends as if it had not been. The table has the seconds that came out.
SECONDS = 240

VIEWS = dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0)
L1 = dict(type='L1Loss', loss_weight=100.0)


def auto(kind, **options):
    return dict(type=kind, loss_weight='auto', **options)


def sampled(losses, **options):
    settings = dict(mr_loss=None, num_samples=6, gen_batch_size=4)
    return dict(settings, sample_losses=losses, **options)


def sites(count, channels):
    """One vector for the picture, at the first decoder convolutions, from 1x1 on."""
    inner = [r'(model\.){1,2}(1\.model\.){5}1\.conv']
    outer = [rf'(model\.){{1,2}}(1\.model\.){{{n}}}2\.conv' for n in (4, 3, 2, 1)]
    names = (inner + outer)[:count]
    return dict(_delete_=True, extent='global', sites=dict.fromkeys(names, channels))


CRPS = dict(crps=auto('CRPSLoss', views=VIEWS))
# Name: changes of the model, seconds of an iteration
LOSSES = {
    'CRPS, views': (sampled(CRPS), 0.25),
    'CRPS': (sampled(dict(crps=auto('CRPSLoss'))), 0.24),
    'energy score': (sampled(dict(energy=auto('EnergyScoreLoss'))), 0.25),
    'energy score, views': (
        sampled(dict(energy=auto('EnergyScoreLoss', views=VIEWS))),
        0.28,
    ),
    'kernel score, patches of 4': (
        sampled(dict(kernel=auto('KernelScoreLoss', patch=4))),
        0.28,
    ),
    # Beside the loss: what z is, and where it enters
    'CRPS, views; z one of 128 codes': (
        sampled(CRPS, noise=dict(type='categorical', **sites(3, 128))),
        0.25,
    ),
    'CRPS, views; z up to 16x16': (sampled(CRPS, noise=sites(5, 32)), 0.27),
    'CRPS, views; EMA': (sampled(CRPS, ema=dict(decay=0.999)), 0.25),
    'CRPS, views; balance 0.3': (sampled(CRPS, balance=0.3), 0.25),
    # Moments and terms of others
    'MR2, unbiased': (
        sampled(dict(mr=auto('MRLoss', estimator='unbiased', min_noise=1e-3))),
        0.24,
    ),
    'rcGAN': (sampled(dict(rc=auto('RCGANLoss'))), 0.24),
    # Terms without an optimum, at their authors' weights, beside the baseline's
    'GAN + L1 + mode seeking': (
        sampled(dict(term=dict(type='ModeSeekingLoss', loss_weight=1.0)), rec_loss=L1),
        0.24,
    ),
    'GAN + L1 + DSGAN': (
        sampled(dict(term=dict(type='DSGANLoss', loss_weight=8.0)), rec_loss=L1),
        0.25,
    ),
    # Beside the loss again
    'CRPS, views; z as maps': (sampled(CRPS, noise='pix2pix'), 0.25),
    'CRPS, views; balance 3': (sampled(CRPS, balance=3.0), 0.25),
    'CRPS, views; K = 3': (dict(sampled(CRPS), num_samples=3), 0.21),
    'CRPS, views; K = 12': (dict(sampled(CRPS), num_samples=12), 0.32),
}


# The predictor of a proxy loss, in 60 of the seconds
PREDICTOR = dict(
    type='PredictorPretrainHook',
    max_iters=600,
    val_interval=100,
    patience=5,
    nll=dict(type='MomentNLLLoss', order=2, min_noise=1e-3),
    optim_wrapper=dict(
        type='FastOptimWrapper', amp='auto', optimizer=dict(type='Adam', lr=1e-3)
    ),
)


def cell(config, model, seconds, before=0, **more):
    iters = int((SECONDS - before) / seconds) // 50 * 50
    decay = dict(
        type='LinearLR',
        start_factor=1,
        end_factor=0.01,
        begin=3 * iters // 5,
        end=iters,
        by_epoch=False,
    )
    # As with `--fast`, and memory rather than time
    fast = dict(type='FastOptimWrapper', amp='auto', fused=True)
    changes = dict(
        model=dict(model, channels_last=True, recompute=False),
        optim_wrapper=dict(generators=fast, discriminators=fast),
        train_cfg=dict(max_iters=iters, val_interval=iters),
        param_scheduler=dict(generators=[decay], discriminators=[decay]),
        default_hooks=dict(checkpoint=dict(interval=250)),
        **more,
    )
    return dict(config=config, changes=changes)


runs = {
    'GAN + L1': cell('pix2pix_noise_fonts.py', {}, 0.25),
    'GAN alone': cell('pix2pix_gan_fonts.py', {}, 0.25),
    'proxy MR2, unbiased': cell(
        'pix2pix_proxy_mr2_fonts.py', {}, 0.28, before=60, custom_hooks=[PREDICTOR]
    ),
    **{
        name: cell('_base_/pix2pix_fonts.py', model, seconds)
        for name, (model, seconds) in LOSSES.items()
    },
}
