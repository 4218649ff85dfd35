# The paper's appendix F on the demo of label to photo, where the right answer is known:
# losses without a GAN (F.1), and proxy MR2 beside a reconstruction loss (F.2); beside
# them orders 1 and 2 with a GAN (section 5.2). The paper's estimators and its K = 10.
#     python tools/compare.py configs/studies/appendix_demo.py
_base_ = './losses_demo.py'

expected = """\
Written before any of these runs. Without a GAN: L1, MR1 and proxy MR1 have no spread,
for means alone ask for none: MR1's samples are the mean. MR2 has somewhat more than the
true spread, as its bias at K = 10 says (1.1), proxy MR2 somewhat less (0.9). Neither
loses modes to speak of, since the look of a scene is one code of 32 and a code is a
picture: F.1's high and low frequencies do not show here. With a GAN and L1 at 0, 1, 10,
100: the spread falls, 0.9, 0.9, 0.5, below 0.1, and modes with it; the error of the
mean falls to that of L1. Orders with a GAN: MR1 and proxy MR1 below half of the spread,
and not as good as order 2, against section 5.2: a mean is no reason to vary, and what
the GAN gives of it is chance."""

prepare = ['{tools}/demo.py --data-only']
judge = '{tools}/demo.py --judge {config} {checkpoint} {out}'
cuts = dict(_delete_=True)
STEPS = 1000
DECAY = dict(
    type='LinearLR',
    start_factor=1,
    end_factor=0.01,
    begin=3 * STEPS // 5,
    end=STEPS,
    by_epoch=False,
)
FAST = dict(type='FastOptimWrapper', amp='auto', fused=True)
ALONE = dict(gan_loss=dict(type='GANLoss', gan_type='vanilla', loss_weight=0))
MEAN, BOTH = dict(type='MRLoss', order=1), dict(type='MRLoss', order=2)
PROXY_MEAN, PROXY_BOTH = (dict(loss, type='ProxyMRLoss') for loss in (MEAN, BOTH))
TEN = dict(loss_weight=10.0)


def cell(host, **model):
    return dict(
        config=f'pix2pix_{host}_demo.py' if host else '_base_/pix2pix_demo.py',
        changes=dict(
            model=dict(model, channels_last=True),
            optim_wrapper=dict(generators=FAST, discriminators=FAST),
            train_cfg=dict(max_iters=STEPS, val_interval=STEPS),
            param_scheduler=dict(generators=[DECAY], discriminators=[DECAY]),
        ),
    )


def sampled(loss, **more):
    # The config of proxy MR2 has a loss of its own, which goes
    proxy = loss['type'] == 'ProxyMRLoss'
    replaced = dict(_delete_=True) if proxy else {}
    loss = dict(loss, **replaced, distribution='gaussian')
    host = 'proxy_mr2' if proxy else ''
    return cell(host, mr_loss=loss, num_samples=10, gen_batch_size=4, **more)


runs = dict(
    _delete_=True,
    **{
        'no GAN/L1': cell('noise', **ALONE),
        'no GAN/MR1': sampled(dict(MEAN, **TEN), **ALONE),
        'no GAN/MR2': sampled(dict(BOTH, **TEN), **ALONE),
        'no GAN/proxy MR1': sampled(dict(PROXY_MEAN, **TEN), **ALONE),
        'no GAN/proxy MR2': sampled(dict(PROXY_BOTH, **TEN), **ALONE),
        'GAN/MR1': sampled(dict(MEAN, **TEN)),
        'GAN/MR2': sampled(dict(BOTH, **TEN)),
        'GAN/proxy MR1': sampled(dict(PROXY_MEAN, **TEN)),
        'GAN + 10 proxy MR2/L1 with weight 0': sampled(dict(PROXY_BOTH, **TEN)),
        **{
            f'GAN + 10 proxy MR2/L1 with weight {weight}': sampled(
                dict(PROXY_BOTH, **TEN),
                rec_loss=dict(type='L1Loss', loss_weight=float(weight)),
            )
            for weight in (1, 10, 100)
        },
    },
)
