# The demo's scenes, label -> photo: 4096 training and 64 validation pairs of 32x32 with
# a known distribution, from `tools/demo.py`. Small networks, for minutes on a CPU.
_base_ = './pix2pix_cityscapes.py'

model = dict(
    generator=dict(num_down=5, base_channels=16),
    discriminator=dict(base_channels=32),
    # A look is a property of the whole picture, and there are few: z at the 1x1
    # bottleneck alone, one of 32 codes
    noise=dict(_delete_=True, type='categorical', sites={r'.*model\.1\.conv': 32}),
    eval_num_samples=16,
    recompute=False,  # the same to the bit; there is little to keep
    input_norm=dict(mean=(0.6162, 0.3747, 0.6878), std=(0.3144, 0.2573, 0.2543)),
)

data_root = 'data/demo'
# What tools/test.py compares the samples with
truth = 'mmagic_mr.data.synthetic.known:photo_of_pair'
truth_path_key = 'pair_path'
loader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root)
)
train_dataloader = loader
val_dataloader = dict(loader, batch_size=64)
test_dataloader = val_dataloader

# G at ten times the paper's rate, falling at the end: there are minutes and not days
optim_wrapper = dict(
    generators=dict(optimizer=dict(lr=1e-3)),
    discriminators=dict(optimizer=dict(lr=2e-4)),
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
param_scheduler = dict(generators=decay, discriminators=decay)
default_hooks = dict(
    checkpoint=dict(interval=1000, max_keep_ckpts=1, save_param_scheduler=True)
)
custom_hooks = [
    dict(type='CollageHook', interval=500),
    dict(type='SampleCollapseHook', window=250),
]
