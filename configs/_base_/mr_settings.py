# What every configuration of this project shares, under names that no base of MMagic's
# has: two bases may not define the same one.
custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)

# Paper, appendix B: the same optimizer for G, D and P, and no learning-rate schedule
mr_optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='Adam', lr=1e-4, betas=(0.5, 0.999), weight_decay=1e-4, amsgrad=True
    ),
    clip_grad=dict(type='value', clip_value=0.5),
)

# The authors validate and save each 5000 steps. Adam's state makes a checkpoint
# four times the networks' size (0.9 GB at 256x256; P adds 0.2), hence few are kept; the
# disk needs room for one more, since a new one is whole before an old one goes.
# For some hosts MMagic keeps that of highest PSNR: it would have the least diversity
mr_default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(
        interval=5000,
        max_keep_ckpts=2,
        out_dir=None,
        save_best=None,
        save_param_scheduler=False,
    ),
    # Default hooks, since configs with custom_hooks of their own need them as well
    divergence=dict(type='DivergenceHook', interval=50),
    status=dict(type='StatusHook'),
)
mr_visualizer = dict(
    type='Visualizer',
    vis_backends=[dict(type='VisBackend'), dict(type='TensorboardVisBackend')],
)
mr_collage = dict(type='CollageHook', interval=1000)
mr_custom_hooks = [mr_collage, dict(type='SampleCollapseHook')]

# Recommended; docs/results.md has the tables behind each line. A scoring rule, fair at
# any K, of pixels and of what neighbors do together: the right spread, no predictor.
# Its weight keeps its gradient as large as the GAN's: none to be found, for any host
mr_crps = dict(
    type='CRPSLoss',
    loss_weight='auto',
    views=dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0),
)
mr_recommended = dict(
    sample_losses=dict(crps=mr_crps),
    # More gain little for their time
    num_samples=6,
    # Samples are drawn with the average of the generator's weights: cleaner pictures
    ema=dict(decay=0.999),
    # With mr_fast: less than half of the time and memory
    channels_last=True,
)
# bfloat16 where the device has it, and the optimizer in one kernel. On in recommended
# configs, off in the paper's; `tools/train.py --fast` has both switches for any config
mr_fast = dict(type='FastOptimWrapper', amp='auto', fused=True)

# For proxy losses only, whose configs put it first in custom_hooks (so that
# --cfg-options reaches it as custom_hooks.0). The paper trains P until it overfits: the
# patience ends it, max_iters is a safety net. Order 2 serves proxy MR1 too, as in the
# authors' code: of such a P only the center is used. The distribution is mr_loss's
predictor_hook = dict(
    type='PredictorPretrainHook',
    max_iters=50000,
    val_interval=500,
    patience=10,
    nll=dict(type='MomentNLLLoss', order=2),
    optim_wrapper=mr_optim_wrapper,
)
