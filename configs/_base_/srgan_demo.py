# Engravings, 8x8 -> 32x32: 4096 training and 64 validation pictures with a known
# distribution, from `tools/demo.py --task sr`. Small networks, for minutes on a CPU.
_base_ = './srgan_celeba.py'

model = dict(
    generator=dict(mid_channels=32, num_blocks=3),
    # Bounded: at rare large values of a Gaussian one, colored specks are left
    noise=dict(_delete_=True, type='uniform', sites={r'trunk_net\.\d+\.conv1': 16}),
    # What is left open is local, a hatching for each tile, and this one judges patches
    # of 16x16. One verdict for the whole picture teaches colored noise of the right
    # variance in the same time, and no hatching
    discriminator=dict(
        _delete_=True,
        type='PatchDiscriminator',
        in_channels=3,
        base_channels=32,
        num_conv=1,
        norm_cfg=dict(type='BN'),
    ),
    num_samples=8,
    eval_num_samples=16,
    recompute=False,  # the same to the bit; there is little to keep
    gen_updates_per_disc=1,
)

data_root = 'data/demo_sr'
# What tools/test.py compares the samples with
truth = 'mmagic_mr.data.synthetic.known:large_of_small'
truth_path_key = 'img_path'
loader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root)
)
train_dataloader = dict(loader, batch_size=16)
val_dataloader = dict(loader, batch_size=64)
test_dataloader = dict(
    num_workers=0,
    dataset=dict(data_root=data_root, data_prefix=dict(gt='val/gt', img='val/lq')),
)

# G at ten times the paper's rate, falling at the end: there are minutes and not days
optim_wrapper = dict(
    generator=dict(optimizer=dict(lr=1e-3)), discriminator=dict(optimizer=dict(lr=3e-4))
)
train_cfg = dict(max_iters=2000, val_interval=2000)
decay = [
    dict(
        type='LinearLR',
        start_factor=1,
        end_factor=0.01,
        begin=1200,
        end=2000,
        by_epoch=False,
    )
]
param_scheduler = dict(_delete_=True, generator=decay, discriminator=decay)
default_hooks = dict(
    checkpoint=dict(interval=1000, max_keep_ckpts=1, save_param_scheduler=True)
)
custom_hooks = [
    dict(type='CollageHook', interval=500),
    dict(type='SampleCollapseHook', window=250),
]
# Little noise here, and no floor is wanted under the variances
predictor_hook = dict(
    max_iters=1500,
    val_interval=100,
    patience=10,
    nll=dict(min_noise=1e-4),
    optim_wrapper=dict(optimizer=dict(lr=1e-3)),
)
