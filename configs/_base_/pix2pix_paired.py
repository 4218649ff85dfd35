# One's own pairs of pictures, input -> target, from
# `tools/prepare_data.py pairs A_DIR B_DIR DST`. All that has to be set is data_root:
# DST, from where size and whitening are read (mmagic_mr/own_pictures.py).
_base_ = './pix2pix.py'

own_pictures = 'pairs'
data_root = None
num_samples = 6  # K

source_domain = 'input'
target_domain = 'target'
image_keys = ['img_input', 'img_target']

model = dict(
    default_domain=target_domain,
    reachable_domains=[target_domain],
    related_domains=[target_domain, source_domain],
    data_preprocessor=dict(data_keys=image_keys),
    channels_last=True,
)

# This replaces MMagic's pipelines. The pairs have their size; a picture of another one,
# given to tools/sample.py, is brought to it as the pairs were
load = dict(
    type='LoadPairedImageFromFile',
    key='pair',
    domain_a=source_domain,
    domain_b=target_domain,
)
square = dict(type='ToSquare', keys=image_keys, size=256)
pack = dict(
    type='PackInputs', keys=image_keys, data_keys=image_keys, meta_keys=['pair_path']
)
dataset = dict(
    type='MRPairedImageDataset',
    data_root=data_root,
    prepare_hint='python tools/prepare_data.py pairs A_DIR B_DIR DST',
)
train_dataloader = dict(dataset=dict(dataset, pipeline=[load, pack]))
val_dataloader = dict(
    dataset=dict(dataset, test_mode=True, pipeline=[load, square, pack])
)
test_dataloader = val_dataloader

optim_wrapper = dict(generators=_base_.mr_fast, discriminators=_base_.mr_fast)
predictor_hook = dict(optim_wrapper=_base_.mr_fast)

train_cfg = dict(max_iters=30000, val_interval=1000)
default_hooks = dict(checkpoint=dict(interval=1000))
