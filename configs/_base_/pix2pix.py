# Pix2Pix with K samples per input: MMagic's model and data, the paper's settings.
_base_ = [
    'mmagic::_base_/models/base_pix2pix.py',
    'mmagic::_base_/datasets/paired_imgs_256x256_crop.py',
    './mr_runtime.py',
]

model = dict(
    type='MRPix2Pix',
    # dropout would be a second source of noise, outside z
    generator=dict(use_dropout=False),
    # z: 32 channels at the decoder's 1x1, 2x2 and 4x4 feature maps
    noise='pix2pix',
    # D and P see the batch of 16; G the first 8 of it, 10 samples each
    num_samples=10,
    eval_num_samples=10,
    gen_batch_size=8,
    gen_updates_per_disc=1,
)

train_dataloader = dict(batch_size=16)
