"""What ``mim search`` shows of the configs: a metafile, made from the configs.

``model-index.yml`` names it, ``configs/metafile.yml`` is it. ``tools/metafiles.py``
writes both; a test says when they are not up to date.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEAD = '# Written by tools/metafiles.py\n'
INDEX = f'{HEAD}Import:\n  - configs/metafile.yml\n'
COLLECTION = {
    'Name': 'Moment Reconstruction',
    'Metadata': {'Architecture': ['GAN']},
    'Paper': {
        'Title': 'Harmonizing Maximum Likelihood with GANs for Multimodal Conditional '
        'Generation',
        'URL': 'https://arxiv.org/abs/1902.09225',
    },
    'README': 'README.md',
}
# The last part of a config's name, {host}_{loss}_{data}.py, where it is written another
# way, or says what the user brings; or all of the name
DATA = {
    'celeba': 'CelebA',
    'div2k': 'DIV2K',
    'x4': 'DIV2K',
    'real_esrgan_x4': 'DF2K, OST',
    'deblur': 'GoPro',
    'denoise': 'SIDD',
    'paired': 'your own pairs',
    'images': 'your own pictures',
}
LEFT_OUT = ('_base_', 'studies')


def config_files(root: Path) -> list[Path]:
    """The configs that a metafile lists: none of the demos, studies and bases.

    Args:
        root: of the repository.
    """
    configs = root / 'configs'
    return [
        path
        for path in sorted(configs.rglob('*.py'))
        if path.relative_to(configs).parts[0] not in LEFT_OUT
        and not path.stem.endswith('_demo')
    ]


def entry(path: Path, root: Path) -> dict[str, Any]:
    """What a metafile says of one config.

    Args:
        path: of the config.
        root: of the repository.
    """
    from mmengine.config import Config

    cfg = Config.fromfile(path, import_custom_modules=False)
    data = path.stem.rsplit('_', 1)[-1]
    data = DATA.get(path.stem, DATA.get(data, data.title()))
    metadata = {
        'Training Data': data,
        'Class': cfg.model.type,
        'Losses': ', '.join(_losses(cfg.model)) or 'those of the host',
        'Samples': _samples(cfg),
        'Batch Size': cfg.train_dataloader.batch_size,
        'Iterations': cfg.train_cfg.max_iters,
    }
    return {
        'Name': path.stem,
        'In Collection': COLLECTION['Name'],
        'Config': path.relative_to(root).as_posix(),
        'Metadata': metadata,
        'Results': [{'Task': _task(cfg.model), 'Dataset': data}],
    }


def _samples(cfg):
    own = cfg.model.get('num_samples', 10)
    return own if own == 1 else cfg.get('num_samples', own)


def _losses(model) -> Iterator[str]:
    losses = [model.get('mr_loss'), *(model.get('sample_losses') or {}).values()]
    return (loss.type for loss in losses if loss)


def _task(model):
    for part, task in (
        ('Pix2Pix', 'Image2Image'),
        ('SRGAN', 'Image Super-Resolution'),
        ('Inpaint', 'Inpainting'),
    ):
        if part in model.type:
            return task
    network = model.generator  # SwinIR says `upscale`
    scale = network.get('upscale_factor', network.get('upscale', 1))
    return 'Image Super-Resolution' if scale > 1 else 'Image Restoration'


def metafiles(root: Path) -> dict[Path, str]:
    """Files and their texts.

    Args:
        root: of the repository.
    """
    import yaml

    models = [entry(path, root) for path in config_files(root)]
    content = {'Collections': [COLLECTION], 'Models': models}
    text = yaml.safe_dump(content, sort_keys=False, width=88)
    return {root / 'model-index.yml': INDEX, root / 'configs/metafile.yml': HEAD + text}
