# Two letters in one typeface, 16x16 -> 64x64: typefaces and pairs of characters in the
# test are not among those of the training. `python tools/prepare_data.py fonts
# data/fonts`; docs/fonts.md. Small networks, for an hour on a CPU.
_base_ = './srgan_celeba.py'

model = dict(
    generator=dict(mid_channels=32, num_blocks=4),
    # What is left open is local, and this one judges patches of 34x34
    discriminator=dict(
        _delete_=True,
        type='PatchDiscriminator',
        in_channels=3,
        base_channels=32,
        num_conv=2,
        norm_cfg=dict(type='BN'),
    ),
    num_samples=8,
    gen_batch_size=4,
    eval_num_samples=20,
    gen_updates_per_disc=1,
)

data_root = 'letters://data/fonts'
loader = dict(
    batch_size=16,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        prepare_hint='python tools/prepare_data.py fonts data/fonts',
    ),
)
train_dataloader = dict(
    loader,
    dataset=dict(loader['dataset'], data_prefix=dict(gt='gt/train', img='lq/train')),
)
val_dataloader = dict(
    loader,
    batch_size=32,
    dataset=dict(
        loader['dataset'],
        data_prefix=dict(gt='gt/val', img='lq/val'),
        indices=[*range(0, 385, 6)],
    ),
)
test_dataloader = dict(
    loader,
    batch_size=32,
    dataset=dict(
        loader['dataset'],
        data_prefix=dict(gt='gt/test', img='lq/test'),
        indices=[*range(0, 385, 2)],
    ),
)

# G at five times the paper's rate, falling at the end: there are minutes and not days
optim_wrapper = dict(
    generator=dict(optimizer=dict(lr=5e-4)), discriminator=dict(optimizer=dict(lr=2e-4))
)
max_iters = 4000
train_cfg = dict(max_iters=max_iters, val_interval=1000)
decay = [
    dict(
        type='LinearLR',
        start_factor=1,
        end_factor=0.01,
        begin=3 * max_iters // 5,
        end=max_iters,
        by_epoch=False,
    )
]
param_scheduler = dict(_delete_=True, generator=decay, discriminator=decay)
default_hooks = dict(
    checkpoint=dict(interval=500, max_keep_ckpts=1, save_param_scheduler=True)
)
custom_hooks = [
    dict(type='CollageHook', interval=1000),
    dict(type='SampleCollapseHook', window=250),
]
# Paper that is white in all answers has no variance, and its likelihood no bound
predictor_hook = dict(
    max_iters=2000,
    val_interval=200,
    patience=5,
    nll=dict(min_noise=1e-4),
    optim_wrapper=dict(optimizer=dict(lr=1e-3)),
)
