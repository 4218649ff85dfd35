# CelebA, 16x16 -> 64x64, K samples per input: MMagic's SRGAN, the paper's settings.
# Faces from `tools/prepare_data.py celeba-sr SRC data/celeba_sr`.
#
# The generator is MMagic's MSRResNet: 16 residual blocks without BatchNorm, and the
# bilinearly enlarged input is added to the output. The authors' has 5 blocks with
# BatchNorm, 9x9 convolutions at both ends, and a tanh.
_base_ = [
    'mmagic::srgan_resnet/srgan_x4c64b16_1xb16-1000k_div2k.py',
    './mr_settings.py',
]

experiment_name = None  # the file's own, as work_dir
work_dir = None
randomness = dict(seed=2022, diff_rank_seed=True)

model = dict(
    type='MRSRGAN',
    # MMagic's takes 128x128 alone
    discriminator=dict(type='PooledVGG'),
    gan_loss=dict(loss_weight=1.0),
    perceptual_loss=None,  # and no VGG19 is fetched
    # z: 16 channels at the input of each residual block. The authors' code has it at
    # the convolution after the blocks and in the first enlargement as well
    noise='srgan',
    # D and P see the batch of 32; G the first 8 of it, 24 samples each (12 with the
    # proxy losses in the authors' code)
    num_samples=24,
    eval_num_samples=24,
    gen_batch_size=8,
    gen_updates_per_disc=5,
    # [-1, 1], as the paper; MMagic's SRGAN has [0, 1]
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
)

optim_wrapper = dict(
    generator=_base_.mr_optim_wrapper, discriminator=_base_.mr_optim_wrapper
)
param_scheduler = None
default_hooks = _base_.mr_default_hooks
visualizer = dict(_delete_=True, **_base_.mr_visualizer)
vis_backends = _base_.mr_visualizer.vis_backends
# Samples below the other pictures, as in the paper's Figures 7 to 10
custom_hooks = [
    dict(_base_.mr_collage, num_samples=24, samples_below=True),
    *_base_.mr_custom_hooks[1:],
]
# The authors' code, in squared units of [-1, 1]; the paper is silent
predictor_hook = dict(nll=dict(min_noise=0.01))

# The authors neither flip nor transpose
pipeline = [
    dict(type='LoadImageFromFile', key='img', channel_order='rgb'),
    dict(type='LoadImageFromFile', key='gt', channel_order='rgb'),
    dict(type='PackInputs'),
]
dataset = dict(
    type='MRImageDataset',
    data_root='data/celeba_sr',
    pipeline=pipeline,
    prepare_hint='python tools/prepare_data.py celeba-sr SRC data/celeba_sr',
)
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(
        dataset, _delete_=True, data_prefix=dict(gt='train/gt', img='train/lq')
    ),
)
# Part of the 19867 validation faces, for P as well; the test set is whole
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    dataset=dict(
        dataset,
        _delete_=True,
        data_prefix=dict(gt='val/gt', img='val/lq'),
        indices=2000,
    ),
)
test_dataloader = dict(
    _delete_=True,
    batch_size=32,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(dataset, data_prefix=dict(gt='test/gt', img='test/lq')),
)
# MMagic's pixel metrics, of the first sample
test_evaluator = dict(_delete_=True, **_base_.val_evaluator)

# Neither the paper nor the code has a number: 30 epochs of 162770 faces
train_cfg = dict(max_iters=150_000, val_interval=5000)
