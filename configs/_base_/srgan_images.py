# One's own pictures, x4: crops of `size`, reduced as it trains. All that has to be set
# is data_root: a folder of pictures as they are, or one that
# `tools/prepare_data.py images SRC DST` has checked (mmagic_mr/own_pictures.py).
_base_ = './srgan_celeba.py'

own_pictures = 'super-resolution'
data_root = None
size = 64  # of the large crops
num_samples = 6  # K

model = dict(channels_last=True)

load = dict(type='LoadPicture', key='gt')
crop = dict(type='StrictCrop', keys=['gt'], crop_size=(64, 64))
reduce_and_pack = [dict(type='Downscale', scale=4), dict(type='PackInputs')]
train_pipeline = [load, crop, *reduce_and_pack]
val_pipeline = [load, dict(crop, crop_pos='center'), *reduce_and_pack]
dataset = dict(
    type='MRFolderDataset',
    data_root=data_root,
    prepare_hint='python tools/prepare_data.py images SRC DST',
)
train_dataloader = dict(
    dataset=dict(dataset, _delete_=True, pipeline=train_pipeline, split='train')
)
val_dataloader = dict(
    dataset=dict(dataset, _delete_=True, pipeline=val_pipeline, split='val')
)
test_dataloader = dict(
    dataset=dict(dataset, _delete_=True, pipeline=val_pipeline, split='val')
)

optim_wrapper = dict(generator=_base_.mr_fast, discriminator=_base_.mr_fast)
predictor_hook = dict(optim_wrapper=_base_.mr_fast)
custom_hooks = [
    dict(_base_.mr_collage, samples_below=True),
    *_base_.mr_custom_hooks[1:],
]

train_cfg = dict(max_iters=50000, val_interval=1000)
default_hooks = dict(checkpoint=dict(interval=1000))
