"""Whether the samples go with their input, as the real images do."""

import logging

import numpy as np
import torch
from mmengine.logging import print_log
from torch.nn import functional as F

from mmagic_mr.checks import Count, checked
from mmagic_mr.host import METRICS
from mmagic_mr.metrics.base import SampleMetric, field, rgb_unit
from mmagic_mr.metrics.functional.conditional_fidelity import (
    conditional_floor,
    conditional_frechet_distance,
    principal_components,
)

INPUTS_PER_COMPONENT = 8  # of the input's embedding, at least: N against P of CFID


@METRICS.register_module()
class ConditionalFidelity(SampleMetric):
    """CFID, and beside it what an exact sampler scores on so few inputs.

    FID asks whether the samples look like the real images; a sampler that deals them
    out to the wrong inputs passes. CFID compares the joint laws of input and image.

    Its bias is that of a regression on the input's features, so that these are cut to
    their leading principal components, as many as the test set allows; those of the
    images likewise, by the components of the real ones.

    Args:
        extractor: config of `mmagic_mr.metrics.networks.extractors.Extractor`; it
            embeds inputs, targets and samples.
        samples_per_input: how many samples of each input count.
        components: of either embedding, at most; no more than an eighth of the inputs.
        input_key: field of the input; None: the model's `input_field`.
        kwargs: those of :class:`SampleMetric`, always over the whole image.
    """

    group = 'conditional'
    headlines = {'CFID': 'CFID, {network} (low)'}  # noqa: RUF012

    @checked
    def __init__(
        self,
        extractor: dict | None = None,
        samples_per_input: Count = 4,
        components: Count = 64,
        input_key: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        from mmagic_mr.metrics.networks.extractors import Extractor  # slow to import

        self.extractor = Extractor(**(extractor or {}))
        self.samples_per_input, self.components = samples_per_input, components
        self.input_key = input_key

    @classmethod
    def default_config(cls, options):
        return dict(extractor=options.features, seed=options.seed)

    def prepare(self, module, dataloader):
        super().prepare(module, dataloader)
        self.x_key = self.input_key or self.module.input_field

    def measure(self, index, samples, target, mask, data, data_batch):
        used = samples[: self.samples_per_input]
        x = rgb_unit(field(data, self.x_key)).to(samples.device)[None]
        if x.shape[-2:] != target.shape[-2:]:
            size = target.shape[-2:]
            x = F.interpolate(x, size, mode='bilinear', antialias=True).clamp(0, 1)
        self.extractor.to(samples.device)
        found = self.extractor(torch.cat([x, target[None], used])).numpy()
        return dict(x=found[0], real=found[1], fake=found[2:])

    def summarize(self, results):
        x, real, fake = (
            torch.from_numpy(np.stack([row[key] for row in results]))
            for key in ('x', 'real', 'fake')
        )
        count, samples = fake.shape[:2]
        components = min(self.components, count // INPUTS_PER_COMPONENT, x.shape[1])
        if not components:
            print_log(
                f'no CFID: it needs {INPUTS_PER_COMPONENT} inputs at least, the test '
                f'set has {count}',
                'current',
                logging.WARNING,
            )
            return []
        (x,) = principal_components(x, components)
        real, fake = principal_components(real, components, fake)
        floor = conditional_floor(x, real, samples, self.seed)
        name, size = self.extractor.name, self.extractor.size
        return [
            self.record(
                key=f'CFID[{name}]',
                name=f'CFID ({name}, {components} components)',
                value=conditional_frechet_distance(x, real, fake),
                better='the floor',
                protocol=f'{count} inputs, {samples} samples of each, {components} '
                'principal components of inputs and of real images; floor: mean of '
                'simulated exact samplers',
                network=name,
                range=self.extractor.input + (f', resized to {size}' if size else ''),
                inputs=count,
                samples=samples,
                extra=dict(
                    floor=floor.mean, floor_high=floor.high, components=components
                ),
            )
        ]
