# Every loss of the family on the three demos, where the right answer is known:
#     python tools/compare.py configs/studies/losses_demo.py
# One setting for all: half of each demo's iterations, 4 inputs with K = 8 samples in an
# update of the generator, and, where a loss has an optimum, a weight that makes its
# gradient at the samples as large as the GAN's. Nothing is tuned for a loss or a task.

expected = """\
Written before any of these runs, after single runs of CRPS with views at other
balances. GAN + L1 (L2) collapses: spread below 0.05, a quarter of the modes. GAN
alone: some spread, not the right one. Proper scoring rules: spread 0.9 to 1.1 and
nearly all modes in every task, with views or energy of patches before pixels alone,
in super-resolution above all, where what is open is a texture. The moment losses:
right spread, fewer modes than the scoring rules, since four modes have the moments of
many other laws. rcGAN and pcaGAN: spread near 1, means better than modes. Best of K:
too wide. Mode seeking, DSGAN, NDiv and StarGAN v2's term beside L1: a spread that
their weight decides, and not the data: wrong in at least two of the three tasks."""

prepare = [
    '{tools}/demo.py --data-only',
    '{tools}/demo.py --data-only --task sr',
    '{tools}/demo.py --data-only --task inpaint',
]
judge = '{tools}/demo.py --task {group} --judge {config} {checkpoint} {out}'
# Of the first input in each run's picture
cuts = {
    'input': (4, 46, 100, 142),
    'ground truth': (104, 46, 200, 142),
    'sample mean': (304, 46, 400, 142),
    'five of the samples': (604, 46, 1100, 142),
}
numbers = {
    'demo/std_ratio': 'sample std / true std',
    'demo/mean_error': 'error of sample mean [std]',
    'demo/modes': 'modes covered',
    'demo/off_mode': 'distance to a mode [std]',
    'demo/answer_distance': 'energy distance to the truth [std]',
}

# Host in names of configs, keys of its two optimizers, name of the baseline, what takes
# the host's own reconstruction away, the baseline's reconstruction, iterations
TASKS = dict(
    pix2pix=(
        'pix2pix',
        ('generators', 'discriminators'),
        'GAN + L1',
        dict(loss_config=dict(pixel_loss_weight=0)),
        dict(type='L1Loss', loss_weight=100.0),
        1000,
    ),
    sr=(
        'srgan',
        ('generator', 'discriminator'),
        'GAN + L2',
        dict(pixel_loss=None),
        dict(type='MSELoss', loss_weight=1000.0),
        1000,
    ),
    inpaint=(
        'glcic',
        ('generator', 'disc'),
        'GAN + L2',
        # And no iterations before the discriminator's: there would be no loss
        dict(
            loss_l1_hole=None,
            loss_l1_valid=None,
            train_cfg=dict(iter_tc=-1, iter_td=-1),
        ),
        dict(type='MSELoss', loss_weight=100.0),
        1500,
    ),
)
VIEWS = dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0)
COMMON = dict(num_samples=8, gen_batch_size=4)


def auto(kind, **options):
    return dict(type=kind, loss_weight='auto', **options)


# Losses with an optimum, which take the place of the reconstruction
LOSSES = {
    'CRPS': dict(crps=auto('CRPSLoss')),
    'CRPS, views': dict(crps=auto('CRPSLoss', views=VIEWS)),
    'energy score': dict(energy=auto('EnergyScoreLoss')),
    'energy score, patches of 4': dict(energy=auto('EnergyScoreLoss', patch=4)),
    'kernel score, patches of 4': dict(kernel=auto('KernelScoreLoss', patch=4)),
    'CRPS and variogram': dict(
        crps=auto('CRPSLoss'), variogram=auto('VariogramScoreLoss')
    ),
    'MR2, unbiased': dict(mr=auto('MRLoss', estimator='unbiased')),
    'rcGAN': dict(rc=auto('RCGANLoss')),
    'pcaGAN': dict(pca=auto('PCAGANLoss', interval=20)),
    'best of K': dict(best=auto('BestOfKLoss')),
}
# Those that compare with a predictor
PROXY = {
    'proxy MR2, unbiased': dict(mr=auto('ProxyMRLoss', estimator='unbiased')),
}
# Terms without an optimum, at their authors' weights, beside the baseline's own
# reconstruction: name, and what is added to that of the baseline
DIVERSITY = {
    'mode seeking': dict(type='ModeSeekingLoss', loss_weight=1.0),
    'DSGAN': dict(type='DSGANLoss', loss_weight=8.0),
    'NDiv': dict(type='NDivLoss', loss_weight=1.0),
    "StarGAN v2's term": dict(type='DiversitySensitiveLoss', decay_updates=1000),
}


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
for task, (host, optimizers, baseline, nothing, l1, iters) in TASKS.items():
    plain, seeds = f'_base_/{host}_demo.py', (0, 1, 2)
    rows = {baseline: (f'{host}_noise_demo.py', {})}
    rows['GAN alone'] = plain, dict(mr_loss=None, num_samples=1, **nothing)
    for name, losses in LOSSES.items():
        rows[name] = plain, dict(mr_loss=None, sample_losses=losses, **COMMON)
    for name, losses in PROXY.items():
        model = dict(mr_loss=None, sample_losses=losses, **COMMON)
        rows[name] = f'{host}_proxy_mr2_demo.py', model
    # As the demo has it: a weight found by hand for each task
    rows['proxy MR2, weight by hand'] = f'{host}_proxy_mr2_demo.py', {}
    for name, term in DIVERSITY.items():
        model = dict(mr_loss=None, sample_losses=dict(term=term), rec_loss=l1, **COMMON)
        rows[f'{baseline} + {name}'] = plain, model
    for name, (config, model) in rows.items():
        runs[f'{task}/{name}'] = dict(
            config=config, changes=changes(model, optimizers, iters), seeds=seeds
        )
# A config is its variables: what is left over of the loops is none of it
del task, host, optimizers, baseline, nothing, l1, iters, plain, seeds
del rows, name, losses, term, config, model
