# Two letters in one typeface, 64x64, the right one is the hole: any character fits, and
# its typeface is that of the left one. `python tools/prepare_data.py fonts data/fonts`;
# docs/fonts.md. Small networks, for an hour on a CPU.
_base_ = './glcic_celeba.py'

# Global&Local's 17 convolutions have fixed widths and take days. Pix2Pix's U-Net learns
# this in an hour, from [-1, 1] to [-1, 1]; masks, losses, discriminators are GLCIC's
model = dict(
    data_preprocessor=dict(mean=[127.5], std=[127.5]),
    encdec=dict(
        _delete_=True,
        type='UnetGenerator',
        in_channels=4,
        out_channels=3,
        num_down=6,
        base_channels=32,
        norm_cfg=dict(type='BN'),
        use_dropout=False,
    ),
    # Which character it is, is one choice: one z, at 1x1, 2x2 and 4x4
    noise=dict(
        _delete_=True,
        extent='global',
        sites={
            r'(model\.){1,2}(1\.model\.){5}1\.conv': 64,
            r'(model\.){1,2}(1\.model\.){4}2\.conv': 64,
            r'(model\.){1,2}(1\.model\.){3}2\.conv': 64,
        },
    ),
    # 64x64, and the hole of 64x32, halved 4 times
    disc=dict(
        global_disc_cfg=dict(max_channels=64, fc_in_channels=64 * 4 * 4, num_convs=4),
        local_disc_cfg=dict(max_channels=64, fc_in_channels=64 * 4 * 2, num_convs=4),
    ),
    num_samples=8,
    gen_batch_size=4,
    eval_num_samples=20,
    gen_updates_per_disc=1,
    # The first 200 iterations without discriminator
    train_cfg=dict(local_size=(64, 32), iter_tc=200, iter_td=200),
)

# What tools/test.py compares the samples with
truth = 'mmagic_mr.data.letters.known:any_right_letter'
truth_path_key = 'gt_path'

pipeline = [
    dict(type='LoadImageFromFile', key='gt'),
    dict(type='FixedHole', box=(0, 32, 64, 32)),
    dict(type='FillHole', color=(255, 255, 255)),
    dict(type='PackInputs'),
]
dataset = dict(
    _delete_=True,
    type='MRImageDataset',
    data_root='letters://data/fonts',
    pipeline=pipeline,
    prepare_hint='python tools/prepare_data.py fonts data/fonts',
)
loader = dict(num_workers=0, persistent_workers=False)
# All pairs of characters: the input does not show the right one, and a pair that is
# never seen would be an answer that is never right. Held out are typefaces, so
# validation, too, is in those of the test
train_dataloader = dict(
    loader, batch_size=16, dataset=dict(dataset, data_prefix=dict(gt='gt/train_any'))
)
test_dataloader = dict(
    loader,
    batch_size=32,
    dataset=dict(dataset, data_prefix=dict(gt='gt/test'), indices=[*range(0, 385, 2)]),
)
val_dataloader = dict(
    loader,
    batch_size=32,
    dataset=dict(dataset, data_prefix=dict(gt='gt/test'), indices=[*range(1, 385, 6)]),
)

# G at five times the paper's rate, falling at the end: there are minutes and not days
# (and no AMSGrad: the first gradients, of a white hole, would brake z for good)
optim_wrapper = dict(
    generator=dict(optimizer=dict(lr=5e-4, betas=(0.5, 0.9), amsgrad=False)),
    disc=dict(optimizer=dict(lr=1e-4)),
)
max_iters = 5000
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
param_scheduler = dict(generator=decay, disc=decay)
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
    nll=dict(min_noise=1e-3),
    optim_wrapper=dict(optimizer=dict(lr=1e-3)),
)
