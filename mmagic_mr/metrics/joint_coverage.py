"""Whether the target is like one more sample, as a whole picture."""

import logging

import numpy as np
import torch
from mmengine.logging import print_log
from torch.nn import functional as F

from mmagic_mr.checks import Count, checked
from mmagic_mr.host import METRICS
from mmagic_mr.metrics.base import SampleMetric
from mmagic_mr.metrics.functional.bootstrap import bootstrap_interval
from mmagic_mr.metrics.functional.joint_coverage import (
    expected_coverage,
    largest_gap,
    rank_shares,
    tarp_ranks,
)

EXCHANGES = 8  # samples that take the target's place, for the floor


@METRICS.register_module()
class JointCoverage(SampleMetric):
    """TARP: coverage of the joint law of all pixels, by distances to random references.

    Where each pixel is right on its own, `MomentCalibration` is content; here the
    picture is judged as one point. The references are targets of other inputs.

    Args:
        grid: cells to a side, at most: pictures are averaged over them first.
        references: for each input, at most.
        kwargs: those of :class:`SampleMetric`. With ``mask_key`` a cell weighs as much
            as of it is in the hole.
    """

    group = 'joint'

    @checked
    def __init__(self, grid: Count = 8, references: Count = 10, **kwargs):
        super().__init__(**kwargs)
        self.grid, self.references = grid, references

    @classmethod
    def default_config(cls, options):
        return dict(seed=options.seed, **options.region)

    @classmethod
    def samples_needed(cls, options):
        return 2

    def measure(self, index, samples, target, mask, data, data_batch):
        side = min(self.grid, *target.shape[-2:])

        def cells(images):
            return F.adaptive_avg_pool2d(images, side).cpu()

        return dict(
            target=cells(target).flatten().numpy(),
            samples=cells(samples).flatten(1).numpy(),
            weight=None
            if mask is None
            else cells(mask).expand(3, -1, -1).flatten().numpy(),
        )

    def summarize(self, results):
        count, k = len(results), len(results[0]['samples'])
        if count < 2 or k < 3:
            print_log(
                f'no TARP: it needs 2 inputs and 3 samples of each at least, there are '
                f'{count} and {k}',
                'current',
                logging.WARNING,
            )
            return []
        shares, exchanged = zip(*self._shares(results), strict=True)
        floors = largest_gap(np.mean(exchanged, axis=0))
        low, high = bootstrap_interval(
            shares, self.seed, statistic=lambda rows: largest_gap(rows.mean(1))
        )
        levels = np.linspace(0, 1, k + 2).tolist()
        reached = expected_coverage(np.mean(shares, axis=0))
        region = '' if self.region == 'image' else f', {self.region}'
        return [
            self.record(
                key='tarp_gap',
                name='TARP, largest gap between coverage and level',
                value=float(largest_gap(np.mean(shares, axis=0))),
                low=low,
                high=high,
                better='the floor',
                protocol=f'held-out target, {self.grid}x{self.grid} cells at most, '
                f'{min(self.references, count - 1)} targets of other inputs as '
                f'references{region}; floor: samples in turn as the target',
                network='none',
                range='[0, 1]',
                inputs=count,
                samples=k,
                extra=dict(
                    floor=float(floors.mean()),
                    curve=dict(
                        title='TARP: expected coverage over its level',
                        x=levels,
                        y=reached.tolist(),
                        due=levels,
                    ),
                ),
            )
        ]

    def _shares(self, results):
        """For each input the shares of ranks, of the target and of samples in turn."""
        targets = torch.from_numpy(np.stack([row['target'] for row in results]))
        for index, row in enumerate(results):
            rng = np.random.default_rng([self.seed, index])
            others = np.delete(np.arange(len(results)), index)
            count = min(self.references, len(others))
            references = targets[rng.choice(others, count, replace=False)]
            ties = torch.Generator().manual_seed(int(rng.integers(2**31)))
            weight = row['weight']
            if weight is not None:
                weight = torch.from_numpy(weight)
            samples = torch.from_numpy(row['samples'])

            def shares(drawn, point, rest=(references, weight, ties)):
                return rank_shares(tarp_ranks(drawn, point, *rest), len(drawn))

            exchanged = [
                shares(torch.cat([samples[:k], samples[k + 1 :]]), samples[k])
                for k in range(min(EXCHANGES, len(samples)))
            ]
            yield shares(samples, targets[index]), exchanged
