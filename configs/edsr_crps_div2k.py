# DIV2K, x4: MMagic's EDSR, which has no discriminator, with a scoring rule in place of
# L1: it draws from what is possible.
_base_ = ['mmagic::edsr/edsr_x4c64b16_1xb16-300k_div2k.py', './_base_/mr_settings.py']

work_dir = None  # the file's own
model = dict(
    type='MREditModel',
    noise='edsr',  # z: 16 channels at the input of each residual block
    num_samples=4,
    sample_losses=dict(crps=dict(type='CRPSLoss')),
)
default_hooks = _base_.mr_default_hooks
visualizer = dict(_delete_=True, **_base_.mr_visualizer)
vis_backends = _base_.mr_visualizer.vis_backends
custom_hooks = _base_.mr_custom_hooks
