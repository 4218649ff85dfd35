# Two letters in one typeface, where an input has 86 real answers: every kind of loss at
# the same seconds of training, and what matters beside the loss.
#     python tools/compare.py configs/studies/fonts.py
# docs/fonts.md says what the data are and what a perfect sampler scores.

expected = """\
Written before any of these runs, after those on other real pairs and the demos.

Pix2Pix. GAN + L1 and GAN alone collapse: spread below 0.2, one to three typefaces of 86
reached, a style consistency of 0, an energy distance no less than the exact mean's,
0.09. The proper scoring rules have a spread of 0.85 to 1.05 and an energy distance
below 0.03, a third of the baseline's; the energy score, which is that distance, a
little less than the CRPS. Views change little where one z serves the whole image, since
its samples hang together anyway: a better FID and consistency, the same spread. Proxy
MR2 at weight 10: the spread right, the energy distance of the CRPS or somewhat more, as
two moments are all it sees and the distance sees little else; blends of typefaces, so
less consistency and more distance to the nearest. MR2: a spread of 0.7. rcGAN
collapses, as in the demo. Mode seeking stays below half of the spread, DSGAN has 0.5 to
0.9 of it; energy distances between the baseline's and the scoring rules'. FID is better
for all that have spread, since one typeface for all inputs is not the law of the
targets either; precision is the collapsed ones'.

Beside the loss, with CRPS in views. z as maps: the same spread of pixels, half the
style consistency, for at 2x2 and 4x4 the two letters have noise of their own. K = 3: a
little worse, with a fifth more updates; K = 12: the same, with a fifth fewer. EMA: a
better FID and energy distance, the spread 0.05 less. Balance 0.3: sharper, and a spread
of 0.7 to 0.9; balance 3: the spread right, and blurred. Consistency by pixels: 0.2 to
0.3 for the best, where the perfect sampler has 0.42, so no run has 0.7 of it in so few
minutes; 40 to 60 typefaces reached of 78.

Super-resolution, with other typefaces than those of the training. GAN + L2: a spread of
0.2 and an LR-PSNR of 40 dB. Proxy MR2 at the paper's weight: noise where there is
nothing to be uncertain of, LR-PSNR below 30 dB. CRPS in views, untouched: a spread of
0.7 to 1, above 34 dB, FID 1.5 times the baseline's.

Inpainting, likewise. GAN + L2: a gray blot, or one letter for all. CRPS in views: a
spread of 0.85 to 1, an energy distance of at most a third of the baseline's, and every
second sample no letter but a blend of two. Proxy MR2: more of these."""

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
    'reconstruction/LR-PSNR_mean': 'LR-PSNR [dB]',
}

# The same seconds of one processor for every run: its iterations are these seconds over
# what one of its iterations takes, measured beforehand: one thread, a busy machine, all
# runs in turn, least of several rounds. Iterations and not a clock, so that a run
# repeats, and one that was killed ends as if it had not been. The table has the seconds
# that came out.
SECONDS = 1200
PREDICTOR = dict(pix2pix=300, sr=400, inpaint=300)  # seconds for a proxy loss's

# Host in names of configs, keys of its two optimizers, name of the baseline
TASKS = dict(
    pix2pix=('pix2pix', ('generators', 'discriminators'), 'GAN + L1'),
    sr=('srgan', ('generator', 'discriminator'), 'GAN + L2'),
    inpaint=('glcic', ('generator', 'disc'), 'GAN + L2'),
)
VIEWS = dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0)
L1 = dict(type='L1Loss', loss_weight=100.0)


def auto(kind, **options):
    return dict(type=kind, loss_weight='auto', **options)


def sampled(losses, **options):
    settings = dict(mr_loss=None, num_samples=6, gen_batch_size=4)
    return dict(settings, sample_losses=losses, **options)


CRPS = dict(crps=auto('CRPSLoss', views=VIEWS))
# Name: changes of the model, seconds of an iteration
LOSSES = {
    'CRPS, views': (sampled(CRPS), 0.47),
    'CRPS': (sampled(dict(crps=auto('CRPSLoss'))), 0.45),
    'energy score': (sampled(dict(energy=auto('EnergyScoreLoss'))), 0.45),
    'energy score, views': (
        sampled(dict(energy=auto('EnergyScoreLoss', views=VIEWS))),
        0.51,
    ),
    'MR2, unbiased': (
        sampled(dict(mr=auto('MRLoss', estimator='unbiased', min_noise=1e-3))),
        0.45,
    ),
    'rcGAN': (sampled(dict(rc=auto('RCGANLoss'))), 0.45),
    # Terms without an optimum, at their authors' weights, beside the baseline's
    'GAN + L1 + mode seeking': (
        sampled(dict(term=dict(type='ModeSeekingLoss', loss_weight=1.0)), rec_loss=L1),
        0.46,
    ),
    'GAN + L1 + DSGAN': (
        sampled(dict(term=dict(type='DSGANLoss', loss_weight=8.0)), rec_loss=L1),
        0.46,
    ),
    # Beside the loss
    'CRPS, views; z as maps': (sampled(CRPS, noise='pix2pix'), 0.45),
    'CRPS, views; K = 3': (dict(sampled(CRPS), num_samples=3), 0.39),
    'CRPS, views; K = 12': (dict(sampled(CRPS), num_samples=12), 0.60),
    'CRPS, views; EMA': (sampled(CRPS, ema=dict(decay=0.999)), 0.47),
    'CRPS, views; balance 0.3': (sampled(CRPS, balance=0.3), 0.47),
    'CRPS, views; balance 3': (sampled(CRPS, balance=3.0), 0.47),
}
# Seconds of an iteration of the configs as they are
AS_THEY_ARE = dict(
    pix2pix=dict(noise=0.45, gan=0.45, proxy_mr2=0.53),
    sr=dict(noise=0.40, proxy_mr2=0.65, crps=0.54),
    inpaint=dict(noise=0.56, proxy_mr2=0.70, crps=0.58),
)
NAMES = dict(gan='GAN alone', proxy_mr2='proxy MR2, unbiased', crps='CRPS, views')
# The baseline, and the three that are expected to be the best
SEEDS = dict.fromkeys(
    (
        'pix2pix/GAN + L1',
        'pix2pix/CRPS, views',
        'pix2pix/energy score, views',
        'pix2pix/CRPS, views; EMA',
    ),
    (0, 1, 2),
)


def changes(model, optimizers, iters):
    decay = dict(
        type='LinearLR',
        start_factor=1,
        end_factor=0.01,
        begin=3 * iters // 5,
        end=iters,
        by_epoch=False,
    )
    return dict(
        model=model,
        train_cfg=dict(max_iters=iters, val_interval=iters),
        param_scheduler={name: [decay] for name in optimizers},
        default_hooks=dict(checkpoint=dict(interval=250)),
    )


runs = {}
for task, (host, optimizers, baseline) in TASKS.items():
    rows = {}
    for loss, cost in AS_THEY_ARE[task].items():
        name = baseline if loss == 'noise' else NAMES[loss]
        before = PREDICTOR[task] if loss == 'proxy_mr2' else 0
        rows[name] = f'{host}_{loss}_fonts.py', {}, cost, before
    if task == 'pix2pix':
        for name, (model, cost) in LOSSES.items():
            rows[name] = '_base_/pix2pix_fonts.py', model, cost, 0
    for name, (config, model, cost, before) in rows.items():
        iters = int((SECONDS - before) / cost) // 50 * 50
        runs[f'{task}/{name}'] = dict(
            config=config,
            changes=changes(model, optimizers, iters),
            seeds=SEEDS.get(f'{task}/{name}', (0,)),
        )
# A config is its variables: what is left over of the loops is none of it
del task, host, optimizers, baseline, rows, name, loss, cost, before, config, model
del iters
