# Engravings, 8x8 -> 32x32: 4096 training and 64 validation pictures with a known
# distribution, from `tools/demo.py --task sr`. Small networks, for minutes on a CPU.
_base_ = './srgan_celeba.py'

model = dict(
    generator=dict(mid_channels=16, num_blocks=2),
    discriminator=dict(mid_channels=8),
    num_samples=8,
    eval_num_samples=16,
    gen_updates_per_disc=2,
)

data_root = 'data/demo_sr'
loader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root)
)
train_dataloader = dict(loader, batch_size=16)
val_dataloader = dict(loader, batch_size=64)
test_dataloader = dict(
    num_workers=0,
    dataset=dict(data_root=data_root, data_prefix=dict(gt='val/gt', img='val/lq')),
)

# Ten times the paper's rates, falling at the end, since there are minutes and not days
optim_wrapper = dict(
    generator=dict(optimizer=dict(lr=1e-3)), discriminator=dict(optimizer=dict(lr=4e-4))
)
train_cfg = dict(max_iters=800, val_interval=800)
decay = [
    dict(
        type='LinearLR',
        start_factor=1,
        end_factor=0.01,
        begin=500,
        end=800,
        by_epoch=False,
    )
]
param_scheduler = dict(_delete_=True, generator=decay, discriminator=decay)
default_hooks = dict(
    checkpoint=dict(interval=400, max_keep_ckpts=1, save_param_scheduler=True)
)
custom_hooks = [
    dict(type='CollageHook', interval=400),
    dict(type='SampleCollapseHook', window=250),
]
# Little noise here, and no floor is wanted under the variances
predictor_hook = dict(
    max_iters=800,
    val_interval=100,
    patience=6,
    nll=dict(min_noise=1e-4),
    optim_wrapper=dict(optimizer=dict(lr=1e-3)),
)
