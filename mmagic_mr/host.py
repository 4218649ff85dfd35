"""The one door to MMagic: mended first, then imported; all of it that we use.

Whatever the package takes from MMagic comes from here, so that the order of imports
matters in this file alone, and so do names that MMagic does not promise to keep.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmagic_mr.doctor import explained

with explained('MMagic'):
    from mmagic_mr import compat
    from mmagic_mr.lazy_registry import imported

    compat.mend()  # MMagic's models do not import without it

    from mmagic.datasets import BasicImageDataset, PairedImageDataset
    from mmagic.datasets.transforms import FixedCrop, LoadMask
    from mmagic.evaluation.metrics.base_sample_wise_metric import BaseSampleWiseMetric
    from mmagic.evaluation.metrics.ssim import ssim
    from mmagic.models.base_models import BaseEditModel, TwoStageInpaintor
    from mmagic.models.editors import ESRGAN, SRGAN, AOTInpaintor, Pix2Pix, RealESRGAN
    from mmagic.models.editors.global_local import GLInpaintor
    from mmagic.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS
    from mmagic.structures import DataSample
    from mmengine.model import is_model_wrapper
    from mmengine.runner import EpochBasedTrainLoop

__all__ = [
    'DATASETS',
    'ESRGAN',
    'HOOKS',
    'METRICS',
    'MODELS',
    'SRGAN',
    'TRANSFORMS',
    'AOTInpaintor',
    'BaseEditModel',
    'BaseSampleWiseMetric',
    'BasicImageDataset',
    'DataSample',
    'FixedCrop',
    'GLInpaintor',
    'LoadMask',
    'PairedImageDataset',
    'Pix2Pix',
    'RealESRGAN',
    'TwoStageInpaintor',
    'accumulation',
    'colors_of',
    'eval_mode',
    'evaluators_of',
    'imported',
    'is_resumed',
    'is_validation_due',
    'loaded_from',
    'loaders_of',
    'normalization',
    'ssim',
    'target_domain',
    'unwrap',
    'variance_to_host',
]


def __getattr__(name: str) -> type:
    """Any other class of MMagic's models, for hosts that are written on one."""
    found = None if name.startswith('__') else MODELS.get(name)
    if found is None:
        raise AttributeError(f'MMagic has no model class {name}')
    return found


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside a wrapper for distributed runs; any other one as it is."""
    return model.module if is_model_wrapper(model) else model


def loaders_of(loop) -> list[DataLoader]:
    """Data loaders of a loop: MMagic's loops have a list of them, mmengine's have one.

    No loop, no loaders.
    """
    if loop is None:
        return []
    return list(getattr(loop, 'dataloaders', None) or [loop.dataloader])


def evaluators_of(loop) -> list:
    """Evaluators of a loop, one for each of its loaders; no loop, no evaluators."""
    if loop is None:
        return []
    return list(getattr(loop, 'evaluators', None) or [loop.evaluator])


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, and each module's own mode again afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def normalization(preprocessor) -> tuple[Tensor, Tensor] | None:
    """Mean and standard deviation that a data preprocessor uses, as (C, 1, 1).

    In 0..255 and the order of its output channels; None: it does not normalize.
    """
    if not preprocessor._enable_normalize:
        return None
    return preprocessor.mean.view(-1, 1, 1), preprocessor.std.view(-1, 1, 1)


def variance_to_host(
    preprocessor, variance: Tensor, data_sample: DataSample, key: str
) -> Tensor:
    """A variance as ``destruct`` would give an image: scaled, in BGR, unpadded.

    ``destruct`` itself shifts and clamps, which is wrong for a square.

    Shape:
        (C, H, W) to the same, in 255^2.
    """
    scale = normalization(preprocessor)
    if scale is not None:
        variance = variance * scale[1] ** 2
    order = preprocessor._parse_channel_order(f'{key}_output', variance, data_sample)
    variance, _ = preprocessor._do_conversion(variance, order, 'BGR')
    return preprocessor._destruct_padding(variance, data_sample)


def accumulation(wrapper) -> int:
    """Iterations whose gradients an optimizer wrapper adds up for one update."""
    return wrapper._accumulative_counts


def colors_of(preprocessor) -> tuple[list[float], list[float], bool] | None:
    """What the values of preprocessed images mean: mean, standard deviation, RGB.

    As for `normalization`, one number or one for each channel; None: a preprocessor
    that is none of MMagic's.
    """
    if not hasattr(preprocessor, '_enable_normalize'):
        return None
    mean, std = normalization(preprocessor) or (Tensor([0.0]), Tensor([1.0]))
    rgb = preprocessor.output_channel_order == 'RGB'
    return mean.flatten().tolist(), std.flatten().tolist(), rgb


def target_domain(model: Pix2Pix) -> str:
    """The domain that a translation model of MMagic generates by default."""
    return model._default_domain


def is_resumed(runner) -> bool:
    """Whether a run goes on from a checkpoint of its own (``--resume``)."""
    return runner._resume


def is_validation_due(runner) -> bool:
    """Whether a run validates after the iterations, or epochs, that it has done.

    One that goes on from a checkpoint does not: it was written before.
    """
    loop = runner.train_loop
    if runner.val_loop is None:
        return False
    done = runner.epoch if isinstance(loop, EpochBasedTrainLoop) else runner.iter
    loop._decide_current_val_interval()
    return done > 0 and done >= loop.val_begin and done % loop.val_interval == 0


def loaded_from(runner) -> str:
    """What a run loads at its start, in words for its errors."""
    return runner._load_from or f'the latest checkpoint of {runner.work_dir}'
