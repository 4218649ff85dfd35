"""What the metrics share: a data sample in, a row for each input, records out."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmengine.dist import get_dist_info
from torch import Tensor

from mmagic_mr.checks import Natural, checked
from mmagic_mr.errors import UserError
from mmagic_mr.host import METRICS, BaseSampleWiseMetric, imported, unwrap
from mmagic_mr.metrics.record import Record


@dataclass(frozen=True)
class EvaluationOptions:
    """What a test run asks of all metrics; each takes from it what concerns it.

    Args:
        protocols: of the diversity, names in `PROTOCOLS`.
        stand_in: no file of weights is there: pixel distance instead of LPIPS, and an
            untrained extractor for FID, both named so.
        extractor: TorchScript file of a feature extractor; None: AlexNet's trunk.
        hole: judge diversity and calibration in the hole of an inpainting alone.
        truth: function that knows the truth of an input, see
            :mod:`mmagic_mr.metrics.truth`.
        truth_path_key: field of the path that it takes.
        seed: of pairs, ties and bootstrap.
    """

    protocols: Sequence[str] = ('lee2019',)
    stand_in: bool = False
    extractor: str | None = None
    hole: bool = False
    truth: str | None = None
    truth_path_key: str = 'pair_path'
    seed: int = 0

    @property
    def distance(self) -> dict:
        """Config of the distance between images, see `build_distance`."""
        return dict(name='pixel' if self.stand_in else 'lpips')

    @property
    def features(self) -> dict:
        """Config of the `Extractor`."""
        if self.extractor:
            return dict(kind='torchscript', path=self.extractor)
        return dict(kind='random' if self.stand_in else 'alex')

    @property
    def known(self) -> dict:
        """What a metric needs to find the truth of an input."""
        return dict(truth=self.truth, truth_path_key=self.truth_path_key)

    @property
    def region(self) -> dict:
        """`mask_key`, where the hole alone counts."""
        return dict(mask_key='mask') if self.hole else {}


class SampleMetric(BaseSampleWiseMetric):
    """What our metrics share: one row of results per input, in dataset order.

    A new metric is a subclass in MMagic's registry ``METRICS``, with `group`, `measure`
    and `summarize`. `tools/test.py` then runs it beside the others, with what
    `default_config` says, and its numbers are in the JSON file, the tables and the
    page.

    Args:
        target_key: field of the held-out image; None: the model's `target_field`.
        mask_key: field of the hole's mask (1 inside); None: the whole image counts.
        seed: of pairs, ties and bootstrap.
        collect_device, prefix: see mmengine's ``BaseMetric``.

    After `evaluate`, `records` holds every number with protocol, network and range.
    """

    group: ClassVar[str]
    """What it measures, in one word; the records' group, and the prefix of keys."""

    headlines: ClassVar[dict[str, str]] = {}
    """Numbers for the table that compares runs: key up to a '[' -> head of the column.
    `Record.headline` says more."""

    metric = 'samples'  # the base wants a name

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if 'group' in vars(cls):
            cls.default_prefix = cls.group

    @checked
    def __init__(
        self,
        target_key: str | None = None,
        mask_key: str | None = None,
        seed: Natural = 0,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(
            mask_key=mask_key, collect_device=collect_device, prefix=prefix
        )
        self.target_key = target_key
        self.seed = seed
        self.records: list[Record] = []
        self._seen = 0  # inputs of this process so far

    @classmethod
    def default_config(cls, options: EvaluationOptions) -> dict:
        """Arguments with which `tools/test.py` builds the metric."""
        return dict(seed=options.seed)

    @classmethod
    def samples_needed(cls, options: EvaluationOptions) -> int:
        """K that the model has to draw at least."""
        return 1

    @abstractmethod
    def measure(
        self,
        index: int,
        samples: Tensor,
        target: Tensor,
        mask: Tensor | None,
        data: dict,
        data_batch,
    ) -> dict:
        """The row of one input.

        Args:
            index: of the input in its dataset.
            samples: K images, RGB in [0, 1].
            target: the held-out image.
            mask: 1 in the hole.
            data: the data sample's fields, as the model returned them.
            data_batch: the batch that the input came in.

        Shape:
            samples (K, 3, H, W), target (3, H, W), mask (1, H, W).
        """

    @abstractmethod
    def summarize(self, results: list[dict]) -> list[Record]:
        """The rows of all inputs into the numbers reported; `record` makes one."""

    def record(self, key: str, **fields) -> Record:
        """A number of this metric: group, seed and headline are filled in."""
        headline = self.headlines.get(key.partition('[')[0], '')
        common = dict(group=self.group, seed=self.seed, headline=headline)
        return Record(key=key, **{**common, **fields})

    @property
    def region(self) -> str:
        """Where it is measured, in words."""
        return f'hole ({self.mask_key})' if self.mask_key else 'image'

    def prepare(self, module, dataloader):
        super().prepare(module, dataloader)
        self.module = unwrap(module)
        self._seen = 0
        self.gt_key = self.target_key or getattr(self.module, 'target_field', None)
        if self.gt_key is None:
            raise UserError(
                f'{type(self.module).__name__} does not say which field of a data '
                'sample is the target (target_field): set target_key in '
                f'{type(self).__name__}'
            )

    def process(self, data_batch, data_samples):
        rank, world_size = get_dist_info()
        for data in data_samples:
            # mmengine's sampler deals the dataset out like cards.
            index = self._seen * world_size + rank
            self._seen += 1
            samples = rgb_unit(field(data, 'samples'))
            target = rgb_unit(field(data, self.gt_key)).to(samples.device)
            mask = None
            if self.mask_key:
                mask = (
                    field(data, self.mask_key)
                    .to(samples)
                    .view(-1, *target.shape[-2:])[:1]
                )
            self.results.append(
                self.measure(index, samples, target, mask, data, data_batch)
            )

    def compute_metrics(self, results: list) -> dict:
        self.records = self.summarize(results)
        flat = {}
        for record in self.records:
            flat.update(record.scalars())
        return flat

    def evaluate(self) -> dict:
        self._seen = 0
        return super().evaluate()


def sample_metrics() -> dict[str, type[SampleMetric]]:
    """Name to class: ours, and a user's own, in MMagic's registry or mmengine's."""
    found: dict[str, type[SampleMetric]] = {}
    for registry in (METRICS, METRICS.parent):
        for name, cls in imported(registry).items():
            if is_sample_metric(cls) and cls not in found.values():
                found[name] = cls
    return found


def is_sample_metric(kind: str | type) -> bool:
    """Whether a metric's ``type`` in a config, name or class, is one of these."""
    cls = METRICS.get(kind) if isinstance(kind, str) else kind
    return isinstance(cls, type) and issubclass(cls, SampleMetric)


def collected(evaluators: list) -> Iterator[tuple[SampleMetric, list[Record]]]:
    """The metrics of some evaluators that have records, with these."""
    for evaluator in evaluators:
        for metric in evaluator.metrics or []:
            if isinstance(metric, SampleMetric):
                yield metric, metric.records


def rgb_unit(image: Tensor) -> Tensor:
    """MMagic's image (..., 3 or 1, H, W), BGR, 0..255, to RGB in [0, 1]."""
    return rgb(image).float().div(255).clamp(0, 1)


def rgb(image: Tensor) -> Tensor:
    """Channels of (..., 3 or 1, H, W) from BGR, or one channel, to RGB."""
    return (
        image.expand(*image.shape[:-3], 3, -1, -1)
        if image.shape[-3] == 1
        else image.flip(-3)
    )


def variance_unit(var: Tensor) -> Tensor:
    """A variance in 255^2, BGR, to RGB in units of [0, 1]."""
    return rgb(var).float() / 255**2


def field(data: dict, key: str):
    """A field of the data sample, or of its `output` (SRGAN nests its own there)."""
    for fields in (data, data.get('output') or {}):
        if key in fields:
            return fields[key]
    hint = ''
    if key == 'samples':
        hint = ': the model is none that draws K samples of an input'
    raise UserError(f'the data sample has no {key!r}{hint}. It has {sorted(data)}')
