"""What the metrics share: a data sample in, a row for each input, records out."""

from mmengine.dist import get_dist_info
from torch import Tensor

from mmagic_mr.host import BaseSampleWiseMetric
from mmagic_mr.metrics.record import Record


class SampleMetric(BaseSampleWiseMetric):
    """What our metrics share: one row of results per input, in dataset order.

    Args:
        target_key: field of the held-out image; None: that of the model's target
            domain, or 'gt_img' where the model has no domains.
        mask_key: field of the hole's mask (1 inside); None: the whole image counts.
        seed: of pairs, ties and bootstrap.
        collect_device, prefix: see mmengine's ``BaseMetric``.

    After `evaluate`, `records` holds every number with protocol, network and range.
    """

    metric = 'samples'  # the base wants a name

    def __init__(
        self,
        target_key: str | None = None,
        mask_key: str | None = None,
        seed: int = 0,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(
            gt_key=target_key,
            mask_key=mask_key,
            collect_device=collect_device,
            prefix=prefix,
        )
        self.seed = seed
        self.records: list[Record] = []
        self._seen = 0  # inputs of this process so far

    @property
    def region(self) -> str:
        return f'hole ({self.mask_key})' if self.mask_key else 'image'

    def prepare(self, module, dataloader):
        super().prepare(module, dataloader)
        self.module = getattr(module, 'module', module)
        self._seen = 0
        if self.gt_key is None:
            domain = getattr(self.module, '_default_domain', None)
            self.gt_key = f'img_{domain}' if domain else 'gt_img'

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

    def measure(
        self,
        index: int,
        samples: Tensor,
        target: Tensor,
        mask: Tensor | None,
        data: dict,
        data_batch,
    ) -> dict:
        """The row of one input; each metric has its own.

        Shape:
            samples (K, 3, H, W), target (3, H, W), RGB in [0, 1]; mask (1, H, W).
        """
        raise NotImplementedError

    def summarise(self, results: list[dict]) -> list[Record]:
        """The rows of all inputs into the numbers reported; each metric has its own."""
        raise NotImplementedError

    def compute_metrics(self, results: list) -> dict:
        self.records = self.summarise(results)
        flat = {}
        for record in self.records:
            flat.update(record.scalars())
        return flat

    def evaluate(self) -> dict:
        self._seen = 0
        return super().evaluate()


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
    """The same for a variance in 255^2."""
    return rgb(var).float() / 255**2


def field(data: dict, key: str):
    """A field of the data sample, or of its `output` (SRGAN nests its own there)."""
    for fields in (data, data.get('output') or {}):
        if key in fields:
            return fields[key]
    hint = ''
    if key == 'samples':
        hint = ': the model is none of MRPix2Pix, MRSRGAN, MRGLInpaintor'
    raise KeyError(f'the data sample has no {key!r}{hint}. It has {sorted(data)}')
