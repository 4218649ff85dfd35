# How many samples an update needs, on the demo of labels and photos:
#     python tools/compare.py configs/studies/samples_demo.py
# The moment losses at a weight found by hand, the CRPS at 'auto'; everything else as in
# the demo, half of its iterations: a row differs from the next in K alone.
_base_ = './losses_demo.py'

expected = """\
Written before any of these runs. MR2 of the paper is too wide at small K (it prefers
3 times the variance at K = 4, 1.29 at 10, 1.10 at 24); proxy MR2 of the paper is too
narrow there (0.53 of the variance at 4, 0.78 at 10, 0.90 at 24). 'unbiased' and the
CRPS have the right spread at every K, to within 0.1; their gradients are noisier at
small K, which shows in the modes at K = 2 alone. Beyond 6 nothing is gained but time,
which grows less than K, since the encoder runs once."""

MR2 = dict(type='MRLoss', loss_weight=10.0)
PROXY = dict(type='ProxyMRLoss', loss_weight=200.0)
FEW, UNBIASED = (2, 4, 6, 10, 24), dict(estimator='unbiased')
# 'unbiased' needs four samples; of fewer than four, MR2's 1 / variance has no mean
KINDS = {
    'CRPS, four views': ('recommended', None, FEW),
    'MR2': ('recommended', MR2, FEW[1:]),
    'MR2, unbiased': ('recommended', dict(MR2, **UNBIASED), FEW[1:]),
    'proxy MR2': ('proxy_mr2', PROXY, FEW),
    'proxy MR2, unbiased': ('proxy_mr2', dict(PROXY, **UNBIASED), FEW[1:]),
}


def model(loss, num_samples):
    settings = dict(num_samples=num_samples)
    if loss is not None and loss['type'] == 'MRLoss':
        settings['sample_losses'] = dict(_delete_=True, mr=loss)
    elif loss is not None:
        settings['mr_loss'] = loss
    return settings


iters = 1000
decay = dict(
    type='LinearLR',
    start_factor=1,
    end_factor=0.01,
    begin=600,
    end=iters,
    by_epoch=False,
)
cuts, along = dict(_delete_=True), 'K'
runs = dict(
    _delete_=True,
    **{
        f'{name}/K = {num_samples}': dict(
            config=f'pix2pix_{config}_demo.py',
            changes=dict(
                model=model(loss, num_samples),
                train_cfg=dict(max_iters=iters, val_interval=iters),
                param_scheduler=dict(generators=[decay], discriminators=[decay]),
            ),
            seeds=(0, 1, 2),
        )
        for name, (config, loss, counts) in KINDS.items()
        for num_samples in counts
    },
)
judge = '{tools}/demo.py --task pix2pix --judge {config} {checkpoint} {out}'
del model, decay, iters, MR2, PROXY, FEW, UNBIASED, KINDS
