"""The contract of a host: what is particular to a model of MMagic.

A host is one file with one class, which declares the attributes below and overrides
the methods that it needs to. What it gets in return is in `reconstruction.py` (samples
and losses) and, for hosts with a discriminator, in `gan.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mmagic_mr.host import DataSample, unwrap
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.evaluation import to_host


class Host(ABC):
    """What a host declares, must define, and may override."""

    # -- what a host declares ------------------------------------------------------

    mmagic_class: ClassVar[type]  # whose training this host replaces
    used_arguments: ClassVar[tuple[str, ...]]  # of its constructor
    reconstruction_terms: ClassVar[tuple[str, ...]] = ()  # likewise: losses on pixels
    # Those of them that compare features -> the attribute that holds the loss.
    perceptual_terms: ClassVar[Mapping[str, str]] = MappingProxyType({})
    generator_arg: ClassVar[str] = 'generator'  # likewise: config of the generator
    generator_name: ClassVar[str] = 'generator'  # attribute; key in optim_wrapper
    # Name of a place for the noise -> its sites, or a function generator -> sites.
    noise_presets: ClassVar[Mapping[str, dict | Callable[[nn.Module], dict]]] = (
        MappingProxyType({})
    )
    image_key: str = 'img'  # data field in whose range the generator's output is
    input_field: str = 'input'  # of a data sample: the input, to be shown
    target_field: str = 'gt_img'  # of a data sample: the held-out image
    size_multiple: int = 1  # the sides of an input are multiples of it
    image_input: ClassVar[Any] = None  # how image files become an input
    # Further arguments of the `MomentPredictor` that is derived from the generator.
    predictor_arguments: ClassVar[Mapping[str, int]] = MappingProxyType({})
    # Further arguments of metrics, by the type of the metric.
    evaluation: ClassVar[Mapping[str, dict]] = MappingProxyType({})

    @abstractmethod
    def make_batch(self, data: dict) -> Batch:
        """Preprocessed data to the tensors of one update."""

    @abstractmethod
    def host_losses(self, batch: Batch, samples: Tensor) -> dict[str, Tensor]:
        """The host's own reconstruction terms that were not replaced."""

    # -- what a host may override --------------------------------------------------

    def prepare_networks(self) -> None:  # noqa: B027  (most need none)
        """Change the networks that MMagic has built, before anything is added."""

    def drop_reconstruction(self, host: dict, keep: Collection[str]) -> list[str]:
        """Take the reconstruction terms out of the host's arguments.

        Returns:
            What was taken out, in words.
        """
        terms = {n: host.get(n) for n in self.reconstruction_terms if n not in keep}
        host.update(dict.fromkeys(terms))
        return [f'{name} ({term["type"]})' for name, term in terms.items() if term]

    def noisy_networks(self) -> list[nn.Module]:
        """The networks that get noise."""
        return [unwrap(self.generator)]

    def make_condition(self, x: Tensor) -> Batch:
        """What is sampled from, of x as the data preprocessor gives it."""
        return Batch(self.normalize(x))

    def generate(self, network: nn.Module, x: Tensor):
        """Run the generator on ``Batch.x``; the rows of the result are samples."""
        return network(x)

    def to_samples(self, output) -> Tensor:
        """The image in what the generator returns (a tuple, a dict, ...)."""
        return output

    def beside_samples(self, output) -> dict[str, Tensor]:
        """What else of the generator's output the losses need.

        Returns:
            Fields of the host's batch, which the losses then find there.
        """
        return {}

    def compose(self, batch: Batch, samples: Tensor) -> Tensor:
        """What is shown and judged: samples, and the known image outside the mask.

        Shape:
            (N, K, C, H, W) to the same.
        """
        if batch.known is None:
            return samples
        inside = batch.mask.unsqueeze(1) > 0
        return torch.where(inside, samples, batch.known.unsqueeze(1))

    def add_host_fields(self, output: DataSample, x) -> None:
        """Set what MMagic's metrics and visualizers read, from the first sample.

        Args:
            output: Has the field ``samples`` already.
            x: Preprocessed input of this image.
        """
        output.set_tensor_data({'input': to_host(self, x, output)})
        output.output = DataSample(pred_img=output.samples[0].cpu())

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        own = getattr(cls, 'mmagic_class', None)
        theirs = [b for b in cls.__mro__ if b.__module__.startswith('mmagic.')]
        if own is not None and theirs and theirs[0] is not own:
            raise TypeError(
                f'{cls.__name__} stands on {theirs[0].__name__} of MMagic, and its '
                f'losses are those of {own.__name__}: override adversarial_loss, '
                'discriminator_losses and host_losses as far as they differ, and set '
                f'mmagic_class = {theirs[0].__name__}'
            )
