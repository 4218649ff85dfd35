# The runtime of MMagic's generation models, with what this project shares.
_base_ = ['mmagic::_base_/gen_default_runtime.py', './mr_settings.py']

optim_wrapper = dict(
    generators=_base_.mr_optim_wrapper, discriminators=_base_.mr_optim_wrapper
)
train_cfg = dict(val_interval=5000)
default_hooks = _base_.mr_default_hooks
visualizer = _base_.mr_visualizer
vis_backends = _base_.mr_visualizer.vis_backends
custom_hooks = _base_.mr_custom_hooks

# Is the spread of the samples right? Needs no network; tools/test.py adds all metrics
val_evaluator = dict(metrics=[dict(type='MomentCalibration', cells=(1, 16))])
test_evaluator = dict(metrics=None)
