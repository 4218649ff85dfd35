"""How well the samples, as a whole law, foretell the target: a proper score."""

import logging

import numpy as np
import torch
from mmengine.logging import print_log

from mmagic_mr.checks import Count, checked
from mmagic_mr.functional import energy_score, masked_mean, patch_mask
from mmagic_mr.host import METRICS
from mmagic_mr.metrics.base import SampleMetric
from mmagic_mr.metrics.functional.bootstrap import bootstrap_interval


@METRICS.register_module()
class SampleEnergyScore(SampleMetric):
    """Fair energy score of patches, and in the space of features.

    A score per pixel, as the CRPS, does not see whether neighbors go together; one of
    patches does. On average it is least for the true law, whatever K; fewer samples
    than there are cost no bias.

    Args:
        patches: their sides; the norm over the places of a patch, one channel at a
            time, is divided by the side: that of 1 pixel is the CRPS.
        extractor: config of `mmagic_mr.metrics.networks.extractors.Extractor`, for the
            norm of features; None: patches alone.
        most: samples of an input that are used at most: the cost goes with its square.
        kwargs: those of :class:`SampleMetric`. With ``mask_key`` the patches that lie
            wholly in the hole count; features are of the whole image.
    """

    group = 'score'
    headlines = {'energy16': 'energy score, 16x16 (low)'}  # noqa: RUF012

    @checked
    def __init__(
        self,
        patches: tuple[Count, ...] = (4, 16),
        extractor: dict | None = None,
        most: Count = 8,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.patches, self.most = tuple(patches), most
        from mmagic_mr.metrics.networks.extractors import Extractor  # slow to import

        self.extractor = None if extractor is None else Extractor(**extractor)

    @classmethod
    def default_config(cls, options):
        return dict(extractor=options.features, seed=options.seed, **options.region)

    @classmethod
    def samples_needed(cls, options):
        return 2

    def measure(self, index, samples, target, mask, data, data_batch):
        used = samples[: self.most]
        row = dict(samples=len(used))
        for patch in self.patches:
            inside = None if mask is None else patch_mask(mask[None], patch)
            if inside is not None and not inside.any():
                continue  # a small hole
            score = energy_score(used[None], target[None], patch)
            row[patch] = masked_mean(score, inside).item() / patch
        if self.extractor is not None:
            self.extractor.to(samples.device)
            features = self.extractor(torch.cat([target[None], used]))[..., None, None]
            score = energy_score(features[None, 1:], features[:1])
            row['features'] = score.item()
        return row

    def summarize(self, results):
        records = [self._of_patches(patch, results) for patch in self.patches]
        if self.extractor is not None:
            name, size = self.extractor.name, self.extractor.size
            records.append(
                self._record(
                    [row['features'] for row in results],
                    results[0]['samples'],
                    key=f'energy[{name}]',
                    name=f'fair energy score ({name})',
                    protocol='held-out target, features of the whole image',
                    network=name,
                    range=self.extractor.input
                    + (f', resized to {size}' if size else ''),
                )
            )
        return [record for record in records if record]

    def _of_patches(self, patch, results):
        values = [row[patch] for row in results if patch in row]
        if not values:
            print_log(
                f'no patch of {patch}x{patch} lies in the hole of any input: no energy '
                'score of that size',
                'current',
                logging.WARNING,
            )
            return None
        region = '' if self.region == 'image' else f', {self.region}'
        return self._record(
            values,
            results[0]['samples'],
            key=f'energy{patch}',
            name=f'fair energy score, patches of {patch}x{patch}',
            protocol='held-out target, norm over a patch of one channel divided by '
            f'its side{region}',
            network='none',
            range='[0, 1]',
        )

    def _record(self, values, samples, **fields):
        low, high = bootstrap_interval(values, self.seed)
        return self.record(
            value=float(np.mean(values)),
            low=low,
            high=high,
            better='lower',
            inputs=len(values),
            samples=samples,
            **fields,
        )
