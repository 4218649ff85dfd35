# Scenes with a hole, 32x32: 4096 training and 64 validation pictures with a known
# distribution, from `tools/demo.py --task inpaint`. For minutes on a CPU.
_base_ = './glcic_celeba.py'

# Global&Local's 17 convolutions have fixed widths and take days. Pix2Pix's U-Net learns
# this in minutes, from [-1, 1] to [-1, 1]; masks, losses and discriminators are GLCIC's
model = dict(
    data_preprocessor=dict(mean=[127.5], std=[127.5]),
    encdec=dict(
        _delete_=True,
        type='UnetGenerator',
        in_channels=4,
        out_channels=3,
        num_down=5,
        base_channels=16,
        norm_cfg=dict(type='BN'),
        use_dropout=False,
    ),
    # The poster is one of few: z where the decoder is coarsest, at 1x1 and 2x2, and
    # much of it, since the shorter ways through the U-Net outweigh it
    noise=dict(
        _delete_=True,
        sites={
            r'(model\.){1,2}(1\.model\.){4}1\.conv': 256,
            r'(model\.){1,2}(1\.model\.){3}2\.conv': 256,
        },
    ),
    # 32x32 and 16x16, halved 3 and 2 times
    disc=dict(
        global_disc_cfg=dict(max_channels=32, fc_in_channels=32 * 4 * 4, num_convs=3),
        local_disc_cfg=dict(max_channels=32, fc_in_channels=32 * 4 * 4, num_convs=2),
    ),
    num_samples=8,
    eval_num_samples=16,
    recompute=False,  # the same to the bit; there is little to keep
    # The first 200 iterations without discriminator
    train_cfg=dict(local_size=(16, 16), iter_tc=200, iter_td=200),
)

# What tools/test.py compares the samples with
truth = 'mmagic_mr.data.synthetic.known:filled_hole'
truth_path_key = 'gt_path'

# The billboard stands in the hole: training reads holes from files as well
pipeline = [
    dict(type='LoadImageFromFile', key='gt'),
    dict(type='LoadMask', mask_mode='file'),
    dict(type='FillHole', color=(134, 134, 131)),
    dict(type='PackInputs'),
]
loader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root='data/demo_inpaint', pipeline=pipeline),
)
train_dataloader = dict(
    loader,
    batch_size=16,
    dataset=dict(
        loader['dataset'],
        data_prefix=dict(gt='train/gt', mask='train/masks'),
        box_file='train/boxes.json',
    ),
)
val_dataloader = dict(loader, batch_size=64)
test_dataloader = dict(
    loader,
    dataset=dict(
        loader['dataset'],
        data_prefix=dict(gt='val/gt', mask='val/masks'),
        box_file='val/boxes.json',
    ),
)

# G at ten times the paper's rate, falling at the end: there are minutes and not days
# (and no AMSGrad: the first gradients, of a gray hole, would brake z for good)
optim_wrapper = dict(
    generator=dict(optimizer=dict(lr=1e-3, betas=(0.5, 0.9), amsgrad=False)),
    disc=dict(optimizer=dict(lr=1e-4)),
)
train_cfg = dict(max_iters=3000, val_interval=3000)
decay = [
    dict(
        type='LinearLR',
        start_factor=1,
        end_factor=0.01,
        begin=1800,
        end=3000,
        by_epoch=False,
    )
]
param_scheduler = dict(generator=decay, disc=decay)
default_hooks = dict(
    checkpoint=dict(interval=1000, max_keep_ckpts=1, save_param_scheduler=True)
)
custom_hooks = [
    dict(type='CollageHook', interval=500),
    dict(type='SampleCollapseHook', window=250),
]
# Little noise here, and no floor is wanted under the variances
predictor_hook = dict(
    max_iters=600,
    val_interval=100,
    patience=8,
    nll=dict(min_noise=1e-3),
    optim_wrapper=dict(optimizer=dict(lr=2e-3)),
)
