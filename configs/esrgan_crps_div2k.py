# DIV2K, x4: MMagic's ESRGAN with a scoring rule in place of its pixel and perceptual
# losses; its GAN loss, data and schedule, and its start from the network that was
# trained with L1.
_base_ = [
    'mmagic::esrgan/esrgan_x4c64b23g32_1xb16-400k_div2k.py',
    './_base_/mr_settings.py',
]

work_dir = None  # the file's own
model = dict(
    type='MRESRGAN',
    noise='rrdb',  # z: 16 channels at the input of each residual-in-residual block
    num_samples=4,
    # 240 for images in [-1, 1] and a GAN weight of 1; here [0, 1] and 0.005
    sample_losses=dict(crps=dict(type='CRPSLoss', loss_weight=1.2, value_scale=2.0)),
)
default_hooks = _base_.mr_default_hooks
visualizer = dict(_delete_=True, **_base_.mr_visualizer)
vis_backends = _base_.mr_visualizer.vis_backends
custom_hooks = _base_.mr_custom_hooks
