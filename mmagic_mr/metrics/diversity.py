"""How far apart the samples of one input are."""

import copy

import numpy as np
import torch

from mmagic_mr.checks import checked
from mmagic_mr.host import METRICS
from mmagic_mr.metrics.base import SampleMetric, field, rgb_unit
from mmagic_mr.metrics.functional.bootstrap import bootstrap_interval
from mmagic_mr.metrics.functional.diversity import sample_diversity
from mmagic_mr.metrics.functional.protocols import (
    check_num_samples,
    choose_inputs,
    find_protocol,
    real_ring,
)
from mmagic_mr.metrics.networks.perceptual import build_distance


@METRICS.register_module()
class SampleDiversity(SampleMetric):
    """Mean distance between samples of one input, with ceiling and floor.

    The ceiling is the distance of random pairs of real images (each with its neighbor
    on a random ring of the inputs used). The floor is the distance of a sample from the
    one drawn again with the same z: above 0, something random is outside z.

    Args:
        protocols: names in `PROTOCOLS`.
        distance: config of `build_distance`:
            ``dict(name='lpips', net='alex', version='0.1', backbone=None)``.
        kwargs: those of :class:`SampleMetric`. With ``mask_key`` the distance map
            is averaged over the hole.

    Raises:
        BackboneMissing: when built, if the network was not fetched; says how.
        UserError: at the first input, if the model draws too few samples.
    """

    group = 'diversity'

    @checked
    def __init__(
        self,
        protocols: str | tuple[str, ...] = ('lee2019',),
        distance: dict | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        names = [protocols] if isinstance(protocols, str) else list(protocols)
        self.protocols = {name: find_protocol(name) for name in names}
        self.distance = build_distance(**(distance or {}))

    @classmethod
    def default_config(cls, options):
        return dict(
            protocols=list(options.protocols),
            distance=options.distance,
            seed=options.seed,
            **options.region,
        )

    @classmethod
    def samples_needed(cls, options):
        return max((find_protocol(name).samples or 2) for name in options.protocols)

    def prepare(self, module, dataloader):
        super().prepare(module, dataloader)
        self.chosen = {
            name: set(choose_inputs(self.size, protocol.inputs))
            for name, protocol in self.protocols.items()
        }

    def process(self, data_batch, data_samples):
        first = self._seen == 0
        self._floors = self._redrawn_distances(data_batch) if first else []
        super().process(data_batch, data_samples)

    def measure(self, index, samples, target, mask, data, data_batch):
        for name in self.protocols:
            check_num_samples(name, len(samples))
        self.device = samples.device
        self.distance.to(self.device)
        weights = None if mask is None else mask[None]
        values = {
            name: sample_diversity(
                samples, self.distance, name, self.seed, index, weights
            )
            for name, chosen in self.chosen.items()
            if index in chosen
        }
        row = dict(
            values=values,
            samples=len(samples),
            floor=self._floors.pop(0) if self._floors else None,
        )
        if values:  # bytes, to hold a dataset
            row['target'] = (target * 255).round().byte().cpu().numpy()
            row['mask'] = None if mask is None else mask.bool().cpu().numpy()
        return row

    def _redrawn_distances(self, data_batch):
        """For each input of a batch, the distance of two draws with the same z."""
        draws = []
        for _ in range(2):
            with torch.no_grad(), torch.random.fork_rng():
                torch.manual_seed(self.seed)
                outputs = self.module.val_step(copy.deepcopy(data_batch))
            draws.append(
                torch.stack(
                    [
                        rgb_unit(field(output.to_dict(), 'samples')[0])
                        for output in outputs
                    ]
                )
            )
        self.distance.to(draws[0].device)
        return self.distance(*draws).tolist()

    def summarize(self, results):
        floors = [row['floor'] for row in results if row['floor'] is not None]
        floor = float(np.mean(floors)) if floors else None
        return [self._summary(name, results, floor) for name in self.protocols]

    def _summary(self, name, results, floor):
        """The record of one protocol."""
        protocol = self.protocols[name]
        rows = [row for row in results if name in row['values']]
        values = [row['values'][name] for row in rows]
        low, high = bootstrap_interval(values, self.seed)
        return self.record(
            key=f'{name}/{self.distance.name.replace(" ", "-")}',
            name=self.distance.name,
            headline=f'diversity, {self.distance.name}, {name}',
            value=float(np.mean(values)),
            low=low,
            high=high,
            better='near the ceiling',
            protocol=f'{name}: {protocol.description}',
            network=self.distance.network,
            range=self.distance.range,
            inputs=len(rows),
            samples=check_num_samples(name, rows[0]['samples']),
            extra=dict(
                ceiling=self._ceiling(rows),
                floor=floor,
                inputs_of_the_protocol=protocol.inputs,
                region=self.region,
            ),
        )

    def _ceiling(self, rows):
        """Mean distance of random pairs of real images; None if they cannot pair."""
        if len({row['target'].shape for row in rows}) != 1:
            return None
        found = []
        for i, j in real_ring(len(rows), self.seed).tolist():
            pair = (
                torch.from_numpy(rows[n]['target'])[None].to(self.device) / 255
                for n in (i, j)
            )
            mask = rows[i]['mask']
            if mask is not None:
                mask = torch.from_numpy(mask)[None].float().to(self.device)
            found.append(self.distance(*pair, mask).item())
        return float(np.mean(found)) if found else None
