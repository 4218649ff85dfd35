"""What a config of one's own pictures takes from its folder.

Such a config says in ``own_pictures`` what its folder holds, and has at its top all
that its user has to set: ``data_root``, ``num_samples`` (K) and, where pictures are cut
as it trains, ``size``. The rest follows from these and from what
``tools/prepare_data.py`` wrote into the folder. It is filled in when the config is
read, so that it can be seen in the copy that a run keeps; that copy needs no folder any
more to draw samples.
"""

from collections.abc import Iterator
from pathlib import Path

from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.io import is_image, read_json

KEYS = ('data_root', 'size', 'num_samples')
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def fill(cfg) -> None:
    """Set what follows from ``data_root``; other configs are left as they are.

    Args:
        cfg: mmengine's Config, as its file and ``KEYS`` of ``--cfg-options`` have it.

    Raises:
        MissingFileError: the folder is not given, missing or empty.
        UserError: it was not made for this kind of config; a size that does not fit.
    """
    kind = cfg.pop('own_pictures', None)
    if kind is None:
        return
    if kind not in KINDS:
        raise UserError(f'own_pictures={kind!r} is none of {", ".join(KINDS)}')
    _check_numbers(cfg)
    root = _folder(cfg)
    KINDS[kind](cfg, root)
    _shorten_intervals(cfg)
    for loader in LOADERS:
        cfg[loader].dataset.data_root = str(root)
    k = cfg.pop('num_samples')
    cfg.pop('size', None)
    cfg.model.eval_num_samples = k
    if cfg.model.num_samples > 1:  # a baseline draws one while it trains
        cfg.model.num_samples = k


def check_options(cfg, options: dict, old_root: str | None) -> None:
    """See that ``KEYS`` of ``--cfg-options`` are not lost in other configs.

    Data sets that had the config's ``data_root`` follow it, also where the config was
    filled in before, or is MMagic's own.

    Args:
        cfg: mmengine's Config, the options merged.
        options: of ``--cfg-options``.
        old_root: ``data_root`` before they were merged.

    Raises:
        UserError: no data set follows, or the config has no such setting.
    """
    if 'own_pictures' in cfg:
        return
    if 'data_root' in options:
        sets = [found for name in LOADERS for found in _datasets(cfg.get(name))]
        for dataset in sets:
            if dataset.data_root == old_root:
                dataset.data_root = options['data_root']
        if not any(dataset.data_root == options['data_root'] for dataset in sets):
            raise UserError(
                f'data_root: no data set of {cfg.filename} takes it from there; set '
                'train_dataloader.dataset.data_root and its like'
            )
    for key in 'size', 'num_samples':
        if key in options:
            raise UserError(
                f'{key}: {cfg.filename} does not take it; its like is in the model '
                '(model.num_samples) and in the pipelines'
            )


def _datasets(part) -> Iterator[dict]:
    """Whatever has a ``data_root``, at any depth: loaders may be lists, sets nested."""
    if isinstance(part, dict):
        if 'data_root' in part:
            yield part
        part = list(part.values())
    if isinstance(part, list | tuple):
        for inner in part:
            yield from _datasets(inner)


def _check_numbers(cfg):
    numbers = {key: cfg[key] for key in ('num_samples', 'size') if key in cfg}
    numbers['model.num_samples'] = cfg.model.num_samples
    if 'max_iters' in cfg.train_cfg:
        numbers['train_cfg.max_iters'] = cfg.train_cfg.max_iters
    for key, value in numbers.items():
        if type(value) is not int or value < 1:
            raise UserError(f'{key}={value!r} is not a whole number of at least 1')


def _shorten_intervals(cfg):
    """A run of few iterations shows how it goes, and saves, ten times on its way."""
    iterations = cfg.train_cfg.get('max_iters')
    if iterations is None:
        return
    tenth = max(1, iterations // 10)
    cfg.train_cfg.val_interval = min(cfg.train_cfg.val_interval, tenth)
    collages = [hook for hook in cfg.custom_hooks if hook.type == 'CollageHook']
    for hook in cfg.default_hooks.checkpoint, *collages:
        hook.interval = min(hook.interval, tenth)


def _folder(cfg):
    hint = cfg.train_dataloader.dataset.prepare_hint
    advice = f'Make it with: {hint}, and give it with: --cfg-options data_root=DST'
    if not cfg.get('data_root'):
        raise MissingFileError(
            f'data_root is not set: the folder of pictures. {advice}'
        )
    root = Path(cfg.data_root)
    if not root.is_dir():
        here = '' if root.is_absolute() else f' in {Path.cwd()}'
        raise MissingFileError(
            f'data_root={root}: there is no such folder{here}. {advice}'
        )
    if not any(is_image(path) for path in root.rglob('*')):
        raise MissingFileError(f'data_root={root}: no picture in it. {advice}')
    return root


def _made_by(root, command) -> dict | None:
    """The manifest of a folder that the command made; None: it made none."""
    path = root / 'manifest.json'
    if not path.is_file():
        return None
    manifest = read_json(path, 'manifest of tools/prepare_data.py')
    made_by = manifest.get('command') if isinstance(manifest, dict) else None
    if made_by != command:
        raise UserError(
            f'data_root={root} was made by `prepare_data.py {made_by}`, and this '
            f'config takes what `prepare_data.py {command}` makes'
        )
    return manifest


def _fill_pairs(cfg, root):
    manifest = _made_by(root, 'pairs')
    if manifest is None:
        raise MissingFileError(
            f'data_root={root} has no manifest.json: it was not made, or not to the '
            f'end, by: {cfg.train_dataloader.dataset.prepare_hint}'
        )
    settings = manifest['settings']
    size = settings['size']
    cfg.model.input_norm = manifest['input_norm']
    halvings = (size & -size).bit_length() - 1
    if 'num_down' in cfg.model.generator:
        cfg.model.generator.num_down = min(8, halvings)
    squeeze = settings['fit'] == 'squeeze'
    options = dict(size=size, squeeze=squeeze, labels=settings['labels'])
    _set_steps(cfg, ToSquare=options)


def _fill_super_resolution(cfg, root):
    _made_by(root, 'images')
    size, scale = cfg.size, cfg.model.generator.upscale_factor
    if size % scale:
        raise UserError(f'size={size} is not a multiple of the scale {scale}')
    _set_least(cfg, size)
    _set_steps(cfg, StrictCrop=dict(crop_size=(size, size)))


def _fill_inpainting(cfg, root):
    manifest = _made_by(root, 'images')
    size, box = cfg.size, cfg.size // 2
    if size % 64:
        raise UserError(f'size={size} is not a multiple of 64, as the networks need it')
    _set_least(cfg, size)
    _set_steps(
        cfg,
        Shrink=dict(short_side=size),
        StrictCrop=dict(crop_size=(size, size)),
        RandomHole=dict(box_size=box, sides=(3 * size // 8, box)),
    )
    if manifest:
        _set_steps(cfg, FillHole=dict(color=tuple(manifest['mean_color'])))
    cfg.model.train_cfg.local_size = (box, box)
    for name, side in ('global_disc_cfg', size), ('local_disc_cfg', box):
        disc = cfg.model.disc[name]
        disc.fc_in_channels = disc.max_channels * (side // 2**disc.num_convs) ** 2


def _set_least(cfg, size):
    for loader in LOADERS:
        cfg[loader].dataset.least = size


def _set_steps(cfg, **options):
    """Options of the pipelines' steps, by their type."""
    for loader in LOADERS:
        for step in cfg[loader].dataset.pipeline:
            step.update(options.get(step.type, {}))


KINDS = {
    'pairs': _fill_pairs,
    'super-resolution': _fill_super_resolution,
    'inpainting': _fill_inpainting,
}
