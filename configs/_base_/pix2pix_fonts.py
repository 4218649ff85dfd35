# Two letters, plain -> in one of 86 typefaces, 64x64: real pictures, all answers known.
# `python tools/prepare_data.py fonts data/fonts`; docs/fonts.md. Small networks, for an
# hour on a CPU at most.
_base_ = './pix2pix.py'

source_domain = 'plain'
target_domain = 'styled'
image_keys = ['img_plain', 'img_styled']

model = dict(
    default_domain=target_domain,
    reachable_domains=[target_domain],
    related_domains=[target_domain, source_domain],
    data_preprocessor=dict(data_keys=image_keys),
    generator=dict(num_down=6, base_channels=32),
    discriminator=dict(base_channels=32),
    # A typeface is a property of the whole picture: one z, at 1x1, 2x2 and 4x4
    noise=dict(_delete_=True, preset='pix2pix', extent='global'),
    num_samples=8,
    gen_batch_size=4,
    eval_num_samples=20,
)

# What tools/test.py compares the samples with
truth = 'mmagic_mr.data.letters.known:styled_pair'
truth_path_key = 'pair_path'

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
    data_root='letters://data/fonts/pairs',
    pipeline=pipeline,
    prepare_hint='python tools/prepare_data.py fonts data/fonts',
)
# 297,474 pictures. Validation and test: pairs of characters that are not among them, in
# these typefaces; with test_dataloader.dataset.test_dir=test in the held-out families
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dataset)
test_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(dataset, test_mode=True, test_dir='val', indices=[*range(0, 385, 2)]),
)
val_dataloader = dict(
    test_dataloader, dataset=dict(dataset, test_mode=True, indices=[*range(1, 385, 6)])
)

# G at five times the paper's rate, falling at the end: there are minutes and not days
optim_wrapper = dict(
    generators=dict(optimizer=dict(lr=5e-4)),
    discriminators=dict(optimizer=dict(lr=2e-4)),
)
max_iters = 6000
train_cfg = dict(max_iters=max_iters, val_interval=1000)
decay = [
    dict(
        type='LinearLR',
        start_factor=1,
        end_factor=0.01,
        begin=3 * max_iters // 5,
        end=max_iters,
        by_epoch=False,
    )
]
param_scheduler = dict(generators=decay, discriminators=decay)
default_hooks = dict(
    checkpoint=dict(interval=500, max_keep_ckpts=1, save_param_scheduler=True)
)
# Paper that is white in all answers has no variance, and its likelihood no bound
predictor_hook = dict(
    max_iters=2000,
    val_interval=200,
    patience=5,
    nll=dict(min_noise=1e-3),
    optim_wrapper=dict(optimizer=dict(lr=1e-3)),
)
