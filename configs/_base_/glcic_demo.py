# Scenes with a hole, 32x32: 4096 training and 64 validation pictures with a known
# distribution, from `tools/demo.py --task inpaint`. For minutes on a CPU.
_base_ = './glcic_celeba.py'

# Global&Local's networks have fixed widths. DeepFill's first stage is the same encoder
# and decoder (6 and 7 convolutions, 4 dilated ones between them) of any width
model = dict(
    encdec=dict(
        encoder=dict(
            _delete_=True,
            type='DeepFillEncoder',
            in_channels=4,
            channel_factor=0.25,
            norm_cfg=dict(type='BN'),
        ),
        dilation_neck=dict(
            in_channels=32, norm_cfg=dict(type='BN'), act_cfg=dict(type='ELU')
        ),
        decoder=dict(
            _delete_=True,
            type='DeepFillDecoder',
            in_channels=32,
            channel_factor=0.25,
            out_act_cfg=dict(type='Sigmoid'),
        ),
    ),
    # 32x32 and 16x16, halved 3 and 2 times
    disc=dict(
        global_disc_cfg=dict(max_channels=64, fc_in_channels=64 * 4 * 4, num_convs=3),
        local_disc_cfg=dict(max_channels=64, fc_in_channels=64 * 4 * 4, num_convs=2),
    ),
    num_samples=8,
    eval_num_samples=16,
    gen_updates_per_disc=1,
    train_cfg=dict(local_size=(16, 16)),
)

# What stands in a hole depends on it: training reads holes from files as well
pipeline = [
    dict(type='LoadImageFromFile', key='gt'),
    dict(type='LoadMask', mask_mode='file'),
    dict(type='FillHole', color=(117, 124, 123)),
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

# Ten times the paper's rates, falling at the end, since there are minutes and not days
optim_wrapper = dict(
    generator=dict(optimizer=dict(lr=1e-3)), disc=dict(optimizer=dict(lr=2e-4))
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
param_scheduler = dict(generator=decay, disc=decay)
default_hooks = dict(
    checkpoint=dict(interval=500, max_keep_ckpts=1, save_param_scheduler=True)
)
custom_hooks = [
    dict(type='CollageHook', interval=500),
    dict(type='SampleCollapseHook', window=250),
]
# Little noise here, and no floor is wanted under the variances
predictor_hook = dict(
    max_iters=1000,
    val_interval=100,
    patience=8,
    nll=dict(min_noise=1e-4),
    optim_wrapper=dict(optimizer=dict(lr=2e-3)),
)
