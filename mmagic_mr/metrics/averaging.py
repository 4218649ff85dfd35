"""What the mean of more and more samples is worth."""

from typing import Literal

import numpy as np
import torch

from mmagic_mr.checks import Count, checked
from mmagic_mr.host import METRICS, ssim
from mmagic_mr.metrics.base import SampleMetric
from mmagic_mr.metrics.functional.averaging import (
    average_sizes,
    average_std,
    exact_gain,
    nested_averages,
)
from mmagic_mr.metrics.functional.bootstrap import bootstrap_interval
from mmagic_mr.metrics.functional.reconstruction import psnr
from mmagic_mr.metrics.networks.perceptual import build_distance


@METRICS.register_module()
class SampleAverage(SampleMetric):
    """PSNR, SSIM and LPIPS of the mean of 1, 2, 4, ... samples, and the pixel spread.

    The mean of many samples wins in PSNR and loses in LPIPS: the curve between
    distortion and perception along which one model answers both.

    Args:
        distance: as in :class:`SampleDiversity`; None: PSNR and SSIM alone.
        most: samples averaged at most.
        ddof: of the pixel standard deviation, 1 or 0.
        kwargs: those of :class:`SampleMetric`, always over the whole image.
    """

    group = 'average'
    headlines = {'PSNR': 'PSNR, K-average (high)'}  # noqa: RUF012

    @checked
    def __init__(
        self,
        distance: dict | None = dict(name='lpips'),  # noqa: B006
        most: Count = 32,
        ddof: Literal[0, 1] = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.distance = build_distance(**distance) if distance is not None else None
        self.most, self.ddof = most, ddof

    @classmethod
    def default_config(cls, options):
        return dict(distance=options.distance, seed=options.seed)

    @classmethod
    def samples_needed(cls, options):
        return 2

    def measure(self, index, samples, target, mask, data, data_batch):
        sizes = average_sizes(len(samples), self.most)
        means = nested_averages(samples, sizes)
        real, *fakes = (
            (255 * image).permute(1, 2, 0).cpu().numpy() for image in (target, *means)
        )
        row = dict(
            samples=len(samples),
            PSNR=psnr(means, target).tolist(),
            SSIM=[ssim(real, fake) for fake in fakes],
            APSD=average_std(samples, self.ddof),
        )
        if self.distance is not None:
            self.distance.to(samples.device)
            count = len(sizes)
            pairs = torch.stack([torch.arange(count), torch.full((count,), count)], 1)
            images = torch.cat([means, target[None]])
            row['distance'] = self.distance.pairs(images, pairs).tolist()
        return row

    def summarize(self, results):
        k = results[0]['samples']
        sizes = average_sizes(k, self.most)
        images = dict(network='none', range='[0, 1] RGB, identical = 100 dB')
        records = [
            self._curve('PSNR', 'PSNR', results, sizes, unit='dB', **images),
            self._gain(results, sizes, **images),
            self._curve(
                'SSIM',
                'SSIM',
                results,
                sizes,
                network='none',
                range='0..255 RGB, Gaussian window 11',
            ),
        ]
        if self.distance is not None:
            records.append(
                self._curve(
                    'distance',
                    self.distance.name,
                    results,
                    sizes,
                    better='lower',
                    network=self.distance.network,
                    range=self.distance.range,
                )
            )
        return [*records, self._spread(results)]

    def _curve(self, key, name, results, sizes, better='higher', **fields):
        """The record of the largest mean, with the curve that leads there."""
        curves = np.array([row[key] for row in results])
        return self._record(
            name.replace(' ', '-'),
            curves[:, -1],
            name=f'{name} of the mean of {sizes[-1]}',
            better=better,
            protocol='mean of the first samples against the held-out target, whole '
            'image',
            samples=sizes[-1],
            extra=dict(
                curve=dict(
                    title=f'{name} of the mean of k samples over k',
                    x=sizes,
                    y=curves.mean(0).tolist(),
                    doubling=True,
                )
            ),
            **fields,
        )

    def _gain(self, results, sizes, **fields):
        gains = [row['PSNR'][-1] - row['PSNR'][0] for row in results]
        due = exact_gain(sizes[-1])
        return self._record(
            'PSNR_gain',
            gains,
            name=f'PSNR gained from 1 sample to the mean of {sizes[-1]}',
            better=f'{due:.3f}',
            protocol='mean of the first samples against the held-out target, whole '
            'image',
            samples=sizes[-1],
            unit='dB',
            extra=dict(exact=due),
            **fields,
        )

    def _spread(self, results):
        k = results[0]['samples']
        return self._record(
            'APSD',
            [row['APSD'] for row in results],
            name=f'APSD, average pixel std (ddof {self.ddof}, K={k})',
            better='that of the data',
            protocol=f'root before the average, ddof {self.ddof}, whole image',
            samples=k,
            network='none',
            range='[0, 1]',
            extra=dict(ddof=self.ddof),
        )

    def _record(self, key, values, **fields):
        low, high = bootstrap_interval(values, self.seed)
        return self.record(
            key=key,
            value=float(np.mean(values)),
            low=low,
            high=high,
            inputs=len(values),
            **fields,
        )
