"""How near the samples come to the held-out target."""

import numpy as np
import torch

from mmagic_mr.checks import checked
from mmagic_mr.host import METRICS, ssim
from mmagic_mr.metrics.base import SampleMetric, field, rgb_unit
from mmagic_mr.metrics.functional.bootstrap import bootstrap_interval
from mmagic_mr.metrics.functional.reconstruction import (
    best_and_mean,
    low_resolution_psnr,
    psnr,
)
from mmagic_mr.metrics.networks.perceptual import build_distance


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

    group = 'reconstruction'
    headlines = {  # noqa: RUF012
        'PSNR_best': 'PSNR, best of K (high)',
        'LR-PSNR_mean': 'LR-PSNR (high)',
    }

    @checked
    def __init__(
        self,
        distance: dict | None = dict(name='lpips'),  # noqa: B006
        low_key: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.distance = build_distance(**distance) if distance is not None else None
        self.low_key = low_key

    @classmethod
    def default_config(cls, options):
        return dict(distance=options.distance, seed=options.seed)

    def measure(self, index, samples, target, mask, data, data_batch):
        row = dict(samples=len(samples))
        row['PSNR'] = best_and_mean(psnr(samples, target), True)
        real, *fakes = (
            (255 * image).permute(1, 2, 0).cpu().numpy() for image in (target, *samples)
        )
        row['SSIM'] = best_and_mean(
            torch.tensor([ssim(real, fake) for fake in fakes]), True
        )
        if self.distance is not None:
            self.distance.to(samples.device)
            k = len(samples)
            pairs = torch.stack([torch.arange(k), torch.full((k,), k)], 1)
            found = self.distance.pairs(torch.cat([samples, target[None]]), pairs)
            row['distance'] = best_and_mean(found, False)
        if self.low_key:
            low = rgb_unit(field(data, self.low_key)).to(samples.device)
            found = low_resolution_psnr(samples, low)
            row['LR-PSNR'] = best_and_mean(found, True)
        return row

    def summarize(self, results):
        return [
            self._record(quantity, column, results)
            for quantity in self._quantities()
            for column in (0, 1)
        ]

    def _quantities(self):
        """What is measured: key of the row, and what its records say."""
        whole = 'each sample against the held-out target, whole image'
        yield (
            'PSNR',
            dict(
                name='PSNR',
                unit='dB',
                better='higher',
                network='none',
                range='[0, 1] RGB, identical = 100 dB',
                protocol=whole,
            ),
        )
        yield (
            'SSIM',
            dict(
                name='SSIM',
                better='higher',
                network='none',
                range='0..255 RGB, Gaussian window 11',
                protocol=whole,
            ),
        )
        if self.distance is not None:
            yield (
                'distance',
                dict(
                    name=self.distance.name,
                    better='lower',
                    network=self.distance.network,
                    range=self.distance.range,
                    protocol=whole,
                ),
            )
        if self.low_key:
            yield (
                'LR-PSNR',
                dict(
                    name='LR-PSNR',
                    unit='dB',
                    better='higher',
                    network='none',
                    range='[0, 1] RGB, antialiased bicubic reduction',
                    protocol='each sample, reduced, against the low resolution',
                ),
            )

    def _record(self, quantity, column, results):
        """The best of K (column 0) or the mean of K (1), averaged over inputs."""
        key, fields = quantity
        name, k = fields['name'], results[0]['samples']
        values = [row[key][column] for row in results]
        low, high = bootstrap_interval(values, self.seed)
        which = ('best', 'mean')[column]
        fields = dict(fields, name=f'{name}, {which} of {k}')
        return self.record(
            key=f'{name.replace(" ", "-")}_{which}',
            value=float(np.mean(values)),
            low=low,
            high=high,
            inputs=len(results),
            samples=k,
            **fields,
        )
