"""Weights of MMagic's own classes under ours: the same answers, then a spread."""

import pytest
import torch
from helpers import stock, tiny
from mmengine.config import Config
from mmengine.hooks import Hook

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.errors import UserError
from mmagic_mr.host import MODELS, eval_mode
from mmagic_mr.inference import load_weights

# Recipe -> data, network, class of MMagic's, what of it answers, side of the input
STARTS = {
    'pix2pix_facades': ('pairs', 'unet', 'Pix2Pix', 32),
    'edsr_x4': ('div2k', 'edsr', 'BaseEditModel', 12),
}


def configs(name, root, work):
    """Of the recipe, small, and of MMagic's own class with the same networks."""
    tiny.quicken_runners()
    kind, network, stock_class, _ = STARTS[name]
    cfg = Config.fromfile(tiny.CONFIGS / 'swap' / f'{name}.py')
    cfg.merge_from_dict(stock.options(kind, network, root, work))
    if kind == 'pairs':
        cfg.train_dataloader.dataset.pipeline[2].crop_size = (32, 32)
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    own = ('noise', 'num_samples', 'sample_losses', 'noise_init')
    theirs = {k: v for k, v in cfg.model.to_dict().items() if k not in own}
    return cfg, theirs | dict(type=stock_class)


def answer(model, x):
    if hasattr(model, 'generators'):
        return model.generators['photo'](x)
    return model.generator(x)


class FirstAnswer(Hook):
    """What the model says before its first update."""

    def __init__(self, x):
        self.x = x
        self.samples = None

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 0:
            with torch.no_grad(), eval_mode(runner.model):
                self.samples = runner.model.sample(self.x, 3)


@pytest.mark.parametrize('name', STARTS)
def test_the_first_answers_are_those_of_the_weights(name, tmp_path):
    from mmengine.runner import Runner

    torch.manual_seed(0)
    cfg, theirs = configs(name, tmp_path / 'data', tmp_path / 'work')
    stock.write_data(STARTS[name][0], tmp_path / 'data')
    released = MODELS.build(theirs).eval()
    # Trained weights have other statistics than new ones
    for parameter in released.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.02)
    file = tmp_path / 'released.pth'
    torch.save(dict(state_dict=released.state_dict(), meta={}), file)
    x = torch.rand(2, 3, STARTS[name][3], STARTS[name][3])
    with torch.no_grad():
        expected = answer(released, x)

    cfg.merge_from_dict({'model.noise_init': 'zero', 'load_from': str(file)})
    runner = Runner.from_cfg(cfg)
    first = FirstAnswer(x)
    runner.register_hook(first)
    runner.train()
    assert first.samples.shape[:2] == (2, 3)
    for sample in first.samples.unbind(1):
        torch.testing.assert_close(sample, expected, rtol=0, atol=1e-6)
    spread = runner.message_hub.log_scalars['train/sample_std'].data[0]
    assert spread[0] == 0
    assert spread[-1] > 1e-5

    # The tools take the file as well, for what it was before
    model = MODELS.build(cfg.model).eval()
    load_weights(model, file)
    with torch.no_grad():
        torch.testing.assert_close(
            model.sample(x, 2)[:, 1], expected, rtol=0, atol=1e-6
        )
    cfg.model.noise_init = 'host'
    with pytest.raises(UserError, match=r'missing .*noise\.conv\.weight'):
        load_weights(MODELS.build(cfg.model), file)
