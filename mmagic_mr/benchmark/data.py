"""Networks and batches of the size that is asked for; the pictures are noise."""

from collections.abc import Callable

import torch
from torch import nn

from mmagic_mr.data.image_inputs import HoleInput, PairInput, SmallImageInput
from mmagic_mr.errors import UserError
from mmagic_mr.host import DataSample, unwrap

Data = dict[str, list]


def fit_networks(cfg, size: int) -> None:
    """Change the parts of a model's config that are made for one size of images.

    Args:
        cfg: mmengine's Config of a run.
        size: Side of the images that are generated.

    Example:
        >>> from mmengine.config import Config
        >>> cfg = Config(dict(model=dict(generator=dict(num_down=8))))
        >>> fit_networks(cfg, 64)
        >>> cfg.model.generator.num_down
        6
    """
    model = cfg.model
    for name in 'generator', 'encdec':
        network = model.get(name, {})
        if 'num_down' in network:
            network.num_down = min(8, network.num_down, size.bit_length() - 1)
    disc = model.get('disc') or {}
    sides = {'global_disc_cfg': size, 'local_disc_cfg': size // 2}
    for part, side in sides.items():
        if 'fc_in_channels' in disc.get(part, {}):
            left = max(1, side >> disc[part].num_convs)
            disc[part].fc_in_channels = disc[part].max_channels * left**2
    if disc and 'local_size' in (model.get('train_cfg') or {}):
        model.train_cfg.local_size = (size // 2, size // 2)


def default_size(model_class: type) -> int:
    """The paper's, for a host of this kind."""
    kinds = {PairInput: 256, SmallImageInput: 64, HoleInput: 128}
    return kinds.get(type(model_class.image_input), 128)


def training_data(model: nn.Module, count: int, size: int) -> Data:
    """A batch as a data loader gives it, of noise.

    Args:
        model: A host.
        count: Inputs in it.
        size: Side of the images that are generated.

    Raises:
        UserError: The host's input is of a kind that is not known here.
    """
    kind = type(model.image_input)
    makers: dict[type, Callable] = {
        PairInput: _pair,
        SmallImageInput: _small,
        HoleInput: _hole,
    }
    if kind not in makers:
        raise UserError(
            f'{type(model).__name__}: there is no data for its input, '
            f'{kind.__name__}; known are {[k.__name__ for k in makers]}'
        )
    rng = torch.Generator().manual_seed(0)
    data: Data = dict(inputs=[], data_samples=[])
    for _ in range(count):
        image, sample = makers[kind](model, size, rng)
        data['inputs'].append(image)
        data['data_samples'].append(sample)
    return data


def _image(size: int, rng: torch.Generator) -> torch.Tensor:
    return torch.randint(256, (3, size, size), generator=rng).float()


def _pair(model, size, rng):
    keys = model.input_field, model.target_field
    return {key: _image(size, rng) for key in keys}, DataSample()


def _small(model, size, rng):
    scale = getattr(unwrap(model.generator), 'upscale_factor', 1)
    sample, image = DataSample(), _image(size, rng)
    sharpened = hasattr(model, 'is_use_sharpened_gt_in_pixel')
    more = dict(gt_unsharp=image) if sharpened else {}
    sample.set_tensor_data(dict(gt_img=image, **more))
    return _image(size // scale, rng), sample


def _hole(model, size, rng):
    image, mask = _image(size, rng), torch.zeros(1, size, size)
    side = size // 2
    mask[:, side // 2 : side // 2 + side, side // 2 : side // 2 + side] = 1
    sample = DataSample(metainfo=dict(mask_bbox=(side // 2, side // 2, side, side)))
    sample.set_tensor_data(dict(gt_img=image, mask=mask))
    return torch.where(mask > 0, 100.0, image), sample
