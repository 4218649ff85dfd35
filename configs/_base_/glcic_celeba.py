# CelebA, inpainting at 128x128, K samples per input: MMagic's Global&Local, the paper's
# settings. Faces from `tools/prepare_data.py celeba-inpaint SRC data/celeba_inpaint`.
_base_ = [
    'mmagic::_base_/models/base_gl.py',
    'mmagic::_base_/inpaint_default_runtime.py',
    'mmagic::_base_/datasets/celeba.py',
    './mr_settings.py',
]

randomness = dict(seed=2022, diff_rank_seed=True)

# The networks keep MMagic's SyncBN: in one process it is BatchNorm, also on a CPU
model = dict(
    type='MRGLInpaintor',
    # [0, 1], as the paper; MMagic's has [-1, 1]
    data_preprocessor=dict(mean=[0.0], std=[255.0]),
    # MMagic clips the output to [-1, 1], where half would be no color. The sigmoid is
    # the paper's and the authors': [0, 1], with a gradient everywhere
    encdec=dict(decoder=dict(out_act='sigmoid')),
    # 128x128 and 64x64, halved 6 and 5 times
    disc=dict(
        global_disc_cfg=dict(fc_in_channels=512 * 2 * 2),
        local_disc_cfg=dict(fc_in_channels=512 * 2 * 2),
    ),
    loss_gan=dict(loss_weight=1.0),
    # z: 32 channels at the inputs of the last encoder convolution and of the first two
    # dilated ones
    noise='glcic',
    # D and P see the batch of 16; G the first 8 of it, 12 samples each
    num_samples=12,
    eval_num_samples=12,
    gen_batch_size=8,
    gen_updates_per_disc=3,
    # -1: G and D from the first iteration, without MMagic's warm-up
    train_cfg=dict(
        disc_step=1, start_iter=0, iter_tc=-1, iter_td=-1, local_size=(64, 64)
    ),
)

optim_wrapper = dict(generator=_base_.mr_optim_wrapper, disc=_base_.mr_optim_wrapper)
default_hooks = _base_.mr_default_hooks
visualizer = dict(_delete_=True, **_base_.mr_visualizer)
vis_backends = _base_.mr_visualizer.vis_backends
# Samples below the other pictures, as in the paper's Figures 7 to 10
custom_hooks = [
    dict(_base_.mr_collage, num_samples=12, samples_below=True),
    *_base_.mr_custom_hooks[1:],
]
# The authors' code, in squared units of [0, 1]
predictor_hook = dict(nll=dict(min_noise=0.01))

# Training: holes of 48 to 64 pixels a side, inside a random box of 64x64. Validation
# and test: holes that were drawn once, so that numbers repeat. FillHole's default is
# the mean color of CelebA
load = dict(type='LoadImageFromFile', key='gt')
fill = [dict(type='FillHole'), dict(type='PackInputs')]
train_pipeline = [load, dict(type='RandomHole', box_size=64, sides=(48, 64)), *fill]
test_pipeline = [load, dict(type='LoadMask', mask_mode='file'), *fill]
dataset = dict(
    type='MRImageDataset',
    data_root='data/celeba_inpaint',
    prepare_hint='python tools/prepare_data.py celeba-inpaint SRC data/celeba_inpaint',
)
train_dataloader = dict(
    batch_size=16,
    persistent_workers=True,
    dataset=dict(
        dataset,
        _delete_=True,
        data_prefix=dict(gt='train/gt'),
        pipeline=train_pipeline,
    ),
)
# Part of the 19867 validation faces, for P as well; the test set is whole
val_dataloader = dict(
    batch_size=16,
    dataset=dict(
        dataset,
        _delete_=True,
        data_prefix=dict(gt='val/gt', mask='val/masks'),
        box_file='val/boxes.json',
        pipeline=test_pipeline,
        indices=2000,
    ),
)
test_dataloader = dict(
    batch_size=16,
    dataset=dict(
        dataset,
        _delete_=True,
        data_prefix=dict(gt='test/gt', mask='test/masks'),
        box_file='test/boxes.json',
        pipeline=test_pipeline,
    ),
)

# Neither the paper nor the code has a number: 15 epochs of 162770 faces
train_cfg = dict(type='IterBasedTrainLoop', max_iters=150_000, val_interval=5000)
val_cfg = dict(type='MultiValLoop')
test_cfg = dict(type='MultiTestLoop')
