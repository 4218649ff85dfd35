"""Reading configs, building all that a run of one has, and what all of them share."""

import torch
from mmengine.config import Config

from helpers import tiny

ADAM = {
    'type': 'Adam',
    'lr': 1e-4,
    'betas': (0.5, 0.999),
    'weight_decay': 1e-4,
    'amsgrad': True,
}


def read(name):
    return Config.fromfile(tiny.CONFIGS / f'{name}.py', import_custom_modules=False)


def build(name, data_root, work_dir):
    """A runner with its loops, data sets, metrics and optimizers; nothing is trained.

    With tiny networks, on tiny images.
    """
    from mmengine.runner import Runner

    runner = Runner.from_cfg(tiny.load(name, data_root, work_dir))
    for loop in runner.train_loop, runner.val_loop, runner.test_loop:
        assert loop is not None
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    return runner


def check_built(runner, loss=None, order=2, distribution=None, weight=1, min_noise=0):
    """The parts of a built runner are those that its config's line of a table says.

    Args:
        runner: of `build`.
        loss: type of the moment loss; None: the config is a baseline.
    """
    from mmagic_mr.losses import MRLoss, ProxyMRLoss

    model = runner.model
    found = [m for m in model.modules() if isinstance(m, MRLoss | ProxyMRLoss)]
    assert [type(m).__name__ for m in found] == ([loss] if loss else [])
    for module in found:
        settings = module.distribution, module.order, module.loss_weight
        assert settings == (distribution, order, weight)
        assert getattr(module, 'min_noise', 0) == min_noise
        assert module.estimator == 'paper'
    proxy = loss == 'ProxyMRLoss'
    assert (model.predictor is not None) == proxy
    assert model.moment_distribution == (distribution if proxy else None)
    # Every sample is drawn with noise, in the network of the baseline too
    generator = getattr(model, model.generator_name)
    noisy = [name for name in generator.state_dict() if 'noise.conv.weight' in name]
    assert noisy
    hooks = [type(hook).__name__ for hook in runner.hooks]
    for name, wanted in [
        ('CollageHook', True),
        ('SampleCollapseHook', True),
        ('PredictorPretrainHook', proxy),
    ]:
        assert hooks.count(name) == wanted
    for network in model.generator_name, model.discriminator_name:
        check_optimizer(runner.optim_wrapper[network], getattr(model, network))
    assert len(runner.optim_wrapper) == 2  # the predictor has its hook's
    assert len(runner.train_dataloader.dataset) == 4
    assert len(runner.val_loop.dataloaders[0].dataset) == 3


def check_optimizer(wrapper, network):
    """The authors' optimizer, for all of one network's parameters."""
    assert type(wrapper.optimizer) is torch.optim.Adam
    assert ADAM.items() - wrapper.optimizer.defaults.items() == {('type', 'Adam')}
    assert wrapper.clip_func is torch.nn.utils.clip_grad_value_
    assert wrapper.clip_grad_kwargs == {'clip_value': 0.5}
    held = {id(p) for group in wrapper.optimizer.param_groups for p in group['params']}
    assert held == {id(p) for p in network.parameters()}
