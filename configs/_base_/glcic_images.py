# One's own pictures, inpainting: crops of `size`, with holes drawn as it trains; those
# of validation by the pictures' names, so that numbers repeat. All that has to be
# set is data_root: a folder of pictures as they are, or one that
# `tools/prepare_data.py images SRC DST` has checked (mmagic_mr/own_pictures.py).
_base_ = './glcic_celeba.py'

own_pictures = 'inpainting'
data_root = None
size = 128
num_samples = 6  # K

model = dict(channels_last=True)

load = dict(type='LoadPicture', key='gt')
shrink = dict(type='Shrink', keys=['gt'], short_side=128)
crop = dict(type='StrictCrop', keys=['gt'], crop_size=(128, 128))
hole = dict(type='RandomHole', box_size=64, sides=(48, 64))
# Gray; of a prepared folder, the mean color
fill = [dict(type='FillHole', color=(128, 128, 128)), dict(type='PackInputs')]
train_pipeline = [load, shrink, crop, hole, *fill]
test_pipeline = [
    load,
    shrink,
    dict(crop, crop_pos='center'),
    dict(hole, seed=0),
    *fill,
]
dataset = dict(
    type='MRFolderDataset',
    data_root=data_root,
    prepare_hint='python tools/prepare_data.py images SRC DST',
)
train_dataloader = dict(
    dataset=dict(dataset, _delete_=True, pipeline=train_pipeline, split='train')
)
val_dataloader = dict(
    dataset=dict(dataset, _delete_=True, pipeline=test_pipeline, split='val')
)
test_dataloader = dict(
    dataset=dict(dataset, _delete_=True, pipeline=test_pipeline, split='val')
)

optim_wrapper = dict(generator=_base_.mr_fast, disc=_base_.mr_fast)
predictor_hook = dict(optim_wrapper=_base_.mr_fast)
custom_hooks = [
    dict(_base_.mr_collage, samples_below=True),
    *_base_.mr_custom_hooks[1:],
]

train_cfg = dict(max_iters=50000, val_interval=1000)
default_hooks = dict(checkpoint=dict(interval=1000))
