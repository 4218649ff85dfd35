# Maps, map -> aerial photo: 1096 training and 1098 validation pairs of 512x512, photo
# left and map right, from `tools/prepare_data.py maps SRC data/maps`.
_base_ = './pix2pix.py'

source_domain = 'map'
target_domain = 'aerial'
image_keys = ['img_map', 'img_aerial']

model = dict(
    default_domain=target_domain,
    reachable_domains=[target_domain],
    related_domains=[target_domain, source_domain],
    data_preprocessor=dict(data_keys=image_keys),
    input_norm=dict(mean=(0.8767, 0.8899, 0.8668), std=(0.0926, 0.0601, 0.1292)),
)

# This replaces MMagic's pipelines: the authors crop, and neither resize nor flip
load = dict(
    type='LoadPairedImageFromFile',
    key='pair',
    domain_a=target_domain,
    domain_b=source_domain,
)
random_crop = dict(type='StrictCrop', keys=image_keys, crop_size=(256, 256))
top_left_crop = dict(
    type='StrictCrop', keys=image_keys, crop_size=(256, 256), crop_pos=(0, 0)
)
pack = dict(
    type='PackInputs', keys=image_keys, data_keys=image_keys, meta_keys=['pair_path']
)
dataset = dict(
    type='MRPairedImageDataset',
    data_root='data/maps',
    prepare_hint='python tools/prepare_data.py maps SRC data/maps',
)
train_dataloader = dict(dataset=dict(dataset, pipeline=[load, random_crop, pack]))
val_dataloader = dict(
    dataset=dict(dataset, test_mode=True, pipeline=[load, top_left_crop, pack])
)
test_dataloader = val_dataloader

# The paper says about 1.5 times the steps of the reconstruction loss, and no number:
# 1.5 x (200 epochs of Pix2Pix = 13 700 steps of 16); one epoch is 68 steps
train_cfg = dict(max_iters=21000)
