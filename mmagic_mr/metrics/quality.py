"""Metrics of the samples as images: like real ones, and like the held-out one."""

import numpy as np
import torch

from mmagic_mr.host import METRICS, ssim
from mmagic_mr.metrics.base import SampleMetric, field, rgb_unit
from mmagic_mr.metrics.functional import fidelity
from mmagic_mr.metrics.functional.bootstrap import bootstrap_interval
from mmagic_mr.metrics.networks.perceptual import build_distance
from mmagic_mr.metrics.record import Record

NEIGHBOURS = dict(precision_recall=3, density_coverage=5)


@METRICS.register_module()
class SampleFidelity(SampleMetric):
    """FID, KID, precision and recall, density and coverage against the real targets.

    Args:
        extractor: config of `mmagic_mr.metrics.functional.fidelity.Extractor`; its
            name is part of every result's name.
        measures: some of 'fid', 'kid', 'precision_recall', 'density_coverage'; None:
            those for which the test set is large enough.
        samples_per_input: how many samples of each input count as fakes; with 1 there
            are as many fakes as real images.
        kwargs: those of :class:`SampleMetric`.
    """

    default_prefix = 'fidelity'
    MEASURES = ('fid', 'kid', 'precision_recall', 'density_coverage')

    def __init__(
        self,
        extractor: dict | None = None,
        measures=None,
        samples_per_input: int = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        unknown = set(measures or ()) - set(self.MEASURES)
        if unknown:
            raise ValueError(f'measures {sorted(unknown)}; there are {self.MEASURES}')
        self.extractor = fidelity.Extractor(**(extractor or {}))
        self.measures, self.samples_per_input = measures, samples_per_input

    def prepare(self, module, dataloader):
        super().prepare(module, dataloader)
        needed = {name: NEIGHBOURS.get(name, 1) + 1 for name in self.MEASURES}
        if self.measures is None:
            self.measures = [m for m in self.MEASURES if needed[m] <= self.size]
        for measure in self.measures:
            if self.size < needed[measure]:
                raise ValueError(
                    f'{measure} needs {needed[measure]} images, the test set has '
                    f'{self.size}: leave it out of measures'
                )

    def measure(self, index, samples, target, mask, data, data_batch):
        if len(samples) < self.samples_per_input:
            raise ValueError(
                f'samples_per_input={self.samples_per_input}, and the model drew '
                f'{len(samples)}: add --cfg-options '
                f'model.eval_num_samples={self.samples_per_input}'
            )
        self.extractor.to(samples.device)
        images = torch.cat([target[None], samples[: self.samples_per_input]])
        features = self.extractor(images).numpy()
        return dict(real=features[:1], fake=features[1:])

    def summarise(self, results):
        real, fake = (
            torch.from_numpy(np.concatenate([row[key] for row in results]))
            for key in ('real', 'fake')
        )
        name = self.extractor.name
        common = dict(
            group='fidelity',
            network=name,
            range=f'{self.extractor.input}'
            f'{f", resized to {self.extractor.size}" if self.extractor.size else ""}',
            inputs=len(real),
            samples=self.samples_per_input,
            seed=self.seed,
        )
        counts = f'{len(real)} real, {len(fake)} fake'
        dim = real.shape[1]
        few = '' if len(real) > dim else f', fewer than the {dim} features: biased up'
        records = []

        def add(title, value, better, protocol, **extra):
            records.append(
                Record(
                    name=f'{title} ({name})',
                    key=f'{title}[{name}]',
                    value=value,
                    better=better,
                    protocol=f'{counts}, {protocol}',
                    extra=extra,
                    **common,
                )
            )

        if 'fid' in self.measures:
            add(
                'FID',
                fidelity.frechet_distance(real, fake),
                'lower',
                'torch-fidelity' + few,
            )
        if 'kid' in self.measures:
            value, std = fidelity.kernel_distance(real, fake, seed=self.seed)
            add(
                'KID',
                value,
                'lower',
                'torch-fidelity, subsets of 1000 at most',
                std_over_subsets=std,
            )
        if 'precision_recall' in self.measures:
            found = fidelity.precision_recall(
                real, fake, NEIGHBOURS['precision_recall']
            )
            for title, value in zip(('precision', 'recall'), found, strict=True):
                add(
                    title,
                    value,
                    'higher',
                    f'torch-fidelity, k={NEIGHBOURS["precision_recall"]}',
                )
        if 'density_coverage' in self.measures:
            found = fidelity.density_coverage(
                real, fake, NEIGHBOURS['density_coverage']
            )
            for title, value in zip(('density', 'coverage'), found, strict=True):
                add(title, value, 'higher', f'k={NEIGHBOURS["density_coverage"]}')
        return records


@METRICS.register_module()
class SampleReconstruction(SampleMetric):
    """PSNR, SSIM and LPIPS to the held-out target: the best of K, and the mean of K.

    The best of K asks whether the samples cover the target, the mean what one sample is
    worth. Best-of-K grows with K: compare runs of the same K alone.

    Args:
        distance: as in :class:`SampleDiversity`; None: PSNR and SSIM alone.
        low_key: field of the low-resolution input, for LR-PSNR; None: none.
        kwargs: those of :class:`SampleMetric`, always over the whole image.
    """

    default_prefix = 'reconstruction'

    def __init__(
        self,
        distance: dict | None = dict(name='lpips'),  # noqa: B006
        low_key: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.distance = build_distance(**distance) if distance is not None else None
        self.low_key = low_key

    def measure(self, index, samples, target, mask, data, data_batch):
        row = dict(samples=len(samples))
        row['PSNR'] = fidelity.best_and_mean(fidelity.psnr(samples, target), True)
        real, *fakes = (
            (255 * image).permute(1, 2, 0).cpu().numpy() for image in (target, *samples)
        )
        row['SSIM'] = fidelity.best_and_mean(
            torch.tensor([ssim(real, fake) for fake in fakes]), True
        )
        if self.distance is not None:
            self.distance.to(samples.device)
            k = len(samples)
            pairs = torch.stack([torch.arange(k), torch.full((k,), k)], 1)
            found = self.distance.pairs(torch.cat([samples, target[None]]), pairs)
            row['distance'] = fidelity.best_and_mean(found, False)
        if self.low_key:
            low = rgb_unit(field(data, self.low_key)).to(samples.device)
            found = fidelity.low_resolution_psnr(samples, low)
            row['LR-PSNR'] = fidelity.best_and_mean(found, True)
        return row

    def summarise(self, results):
        rows = {
            'PSNR': ('dB', 'higher', 'none', '[0, 1] RGB, identical = 100 dB'),
            'SSIM': ('', 'higher', 'none', '0..255 RGB, Gaussian window 11'),
        }
        if self.distance is not None:
            rows['distance'] = ('', 'lower', self.distance.network, self.distance.range)
        if self.low_key:
            rows['LR-PSNR'] = (
                'dB',
                'higher',
                'none',
                '[0, 1] RGB, antialiased bicubic reduction',
            )
        records = []
        k = results[0]['samples']
        for key, (unit, better, network, value_range) in rows.items():
            name = self.distance.name if key == 'distance' else key
            for column, (short, words) in enumerate(
                (('best', f'best of {k}'), ('mean', f'mean of {k}'))
            ):
                values = [row[key][column] for row in results]
                low, high = bootstrap_interval(values, self.seed)
                records.append(
                    Record(
                        group='reconstruction',
                        name=f'{name}, {words}',
                        key=f'{name.replace(" ", "-")}_{short}',
                        value=float(np.mean(values)),
                        low=low,
                        high=high,
                        unit=unit,
                        better=better,
                        protocol='each sample, reduced, against the low resolution'
                        if key == 'LR-PSNR'
                        else 'each sample against the held-out target, whole image',
                        network=network,
                        range=value_range,
                        inputs=len(results),
                        samples=k,
                        seed=self.seed,
                    )
                )
        return records
