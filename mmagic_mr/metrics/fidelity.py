"""Whether the samples look like real images."""

import numpy as np
import torch

from mmagic_mr.checks import Count, checked
from mmagic_mr.errors import UserError
from mmagic_mr.host import METRICS
from mmagic_mr.metrics.base import SampleMetric
from mmagic_mr.metrics.functional import fidelity

NEIGHBORS = dict(precision_recall=3, density_coverage=5)


@METRICS.register_module()
class SampleFidelity(SampleMetric):
    """FID, KID, precision and recall, density and coverage against the real targets.

    Args:
        extractor: config of `mmagic_mr.metrics.networks.extractors.Extractor`; its
            name is part of every result's name.
        measures: some of 'fid', 'kid', 'precision_recall', 'density_coverage'; None:
            those for which the test set is large enough.
        samples_per_input: how many samples of each input count as fakes; with 1 there
            are as many fakes as real images.
        kwargs: those of :class:`SampleMetric`.
    """

    group = 'fidelity'
    headlines = {  # noqa: RUF012
        'FID': 'FID, {network} (low)',
        'coverage': 'coverage, {network} (high)',
    }
    MEASURES = ('fid', 'kid', 'precision_recall', 'density_coverage')

    @checked
    def __init__(
        self,
        extractor: dict | None = None,
        measures: tuple[str, ...] | None = None,
        samples_per_input: Count = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        unknown = set(measures or ()) - set(self.MEASURES)
        if unknown:
            raise UserError(f'measures {sorted(unknown)}; there are {self.MEASURES}')
        from mmagic_mr.metrics.networks.extractors import Extractor  # slow to import

        self.extractor = Extractor(**(extractor or {}))
        self.wanted, self.samples_per_input = measures, samples_per_input

    @classmethod
    def default_config(cls, options):
        return dict(extractor=options.features, seed=options.seed)

    def prepare(self, module, dataloader):
        super().prepare(module, dataloader)
        needed = {name: NEIGHBORS.get(name, 1) + 1 for name in self.MEASURES}
        possible = [name for name in self.MEASURES if needed[name] <= self.size]
        self.measures = possible if self.wanted is None else self.wanted
        for measure in self.measures:
            if self.size < needed[measure]:
                raise UserError(
                    f'{measure} needs {needed[measure]} images, the test set has '
                    f'{self.size}: leave it out of measures'
                )

    def measure(self, index, samples, target, mask, data, data_batch):
        if len(samples) < self.samples_per_input:
            raise UserError(
                f'samples_per_input={self.samples_per_input}, and the model drew '
                f'{len(samples)}: add --cfg-options '
                f'model.eval_num_samples={self.samples_per_input}'
            )
        self.extractor.to(samples.device)
        images = torch.cat([target[None], samples[: self.samples_per_input]])
        features = self.extractor(images).numpy()
        return dict(real=features[:1], fake=features[1:])

    def summarize(self, results):
        real, fake = (
            torch.from_numpy(np.concatenate([row[key] for row in results]))
            for key in ('real', 'fake')
        )
        return [
            self._record(real, fake, *number)
            for measure in self.MEASURES
            if measure in self.measures
            for number in getattr(self, f'_{measure}')(real, fake)
        ]

    # Each measure gives its numbers: title, value, better, protocol, extra.

    def _fid(self, real, fake):
        count, dim = real.shape
        few = '' if count > dim else f', fewer than the {dim} features: biased up'
        value = fidelity.frechet_distance(real, fake)
        yield 'FID', value, 'lower', f'torch-fidelity{few}', {}

    def _kid(self, real, fake):
        value, std = fidelity.kernel_distance(real, fake, seed=self.seed)
        protocol = 'torch-fidelity, subsets of 1000 at most'
        yield 'KID', value, 'lower', protocol, dict(std_over_subsets=std)

    def _precision_recall(self, real, fake):
        k = NEIGHBORS['precision_recall']
        found = fidelity.precision_recall(real, fake, k)
        for title, value in zip(('precision', 'recall'), found, strict=True):
            yield title, value, 'higher', f'torch-fidelity, k={k}', {}

    def _density_coverage(self, real, fake):
        k = NEIGHBORS['density_coverage']
        found = fidelity.density_coverage(real, fake, k)
        for title, value in zip(('density', 'coverage'), found, strict=True):
            yield title, value, 'higher', f'k={k}', {}

    def _record(self, real, fake, title, value, better, protocol, extra):
        name, size = self.extractor.name, self.extractor.size
        return self.record(
            key=f'{title}[{name}]',
            name=f'{title} ({name})',
            value=value,
            better=better,
            protocol=f'{len(real)} real, {len(fake)} fake, {protocol}',
            network=name,
            range=self.extractor.input + (f', resized to {size}' if size else ''),
            inputs=len(real),
            samples=self.samples_per_input,
            extra=extra,
        )
