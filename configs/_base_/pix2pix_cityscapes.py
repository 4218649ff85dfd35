# Cityscapes, label -> photo: 2975 training and 500 validation pairs of 256x256, photo
# left and label right, from `tools/prepare_data.py cityscapes SRC data/cityscapes`.
_base_ = './pix2pix.py'

source_domain = 'label'
target_domain = 'photo'
image_keys = ['img_label', 'img_photo']

model = dict(
    default_domain=target_domain,
    reachable_domains=[target_domain],
    related_domains=[target_domain, source_domain],
    data_preprocessor=dict(data_keys=image_keys),
    input_norm=dict(mean=(0.3946, 0.2806, 0.3847), std=(0.2302, 0.1883, 0.2214)),
)

# This replaces MMagic's pipelines: the authors neither resize nor flip while training,
# and the bicubic resize there would blend label colors
pipeline = [
    dict(
        type='LoadPairedImageFromFile',
        key='pair',
        domain_a=target_domain,
        domain_b=source_domain,
    ),
    dict(
        type='PackInputs',
        keys=image_keys,
        data_keys=image_keys,
        meta_keys=['pair_path'],
    ),
]
dataset = dict(
    type='MRPairedImageDataset',
    data_root='data/cityscapes',
    prepare_hint='python tools/prepare_data.py cityscapes SRC data/cityscapes',
)
train_dataloader = dict(dataset=dict(dataset, pipeline=pipeline))
val_dataloader = dict(dataset=dict(dataset, test_mode=True, pipeline=pipeline))
test_dataloader = val_dataloader

# The paper says about 1.5 times the steps of the reconstruction loss, and no number:
# 1.5 x (200 epochs of Pix2Pix = 37 000 steps of 16); one epoch is 186 steps
train_cfg = dict(max_iters=56000)
