"""Reading configs, and the optimiser that all of them share."""

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
