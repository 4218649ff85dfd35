"""Metrics of the spread: how large it is, and whether it is right."""

import copy
import importlib
import logging

import numpy as np
import torch
from mmengine.logging import print_log

from mmagic_mr.host import METRICS
from mmagic_mr.metrics.base import SampleMetric, field, rgb, rgb_unit, variance_unit
from mmagic_mr.metrics.functional import calibration
from mmagic_mr.metrics.functional.bootstrap import bootstrap_interval
from mmagic_mr.metrics.functional.diversity import sample_diversity
from mmagic_mr.metrics.functional.protocols import (
    check_num_samples,
    choose_inputs,
    find_protocol,
    real_ring,
)
from mmagic_mr.metrics.networks.perceptual import build_distance
from mmagic_mr.metrics.record import Record


@METRICS.register_module()
class SampleDiversity(SampleMetric):
    """Mean distance between samples of one input, with ceiling and floor.

    The ceiling is the distance of random pairs of real images (each with its neighbour
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
        ValueError: at the first input, if the model draws too few samples.
    """

    default_prefix = 'diversity'

    def __init__(self, protocols=('lee2019',), distance: dict | None = None, **kwargs):
        super().__init__(**kwargs)
        names = [protocols] if isinstance(protocols, str) else list(protocols)
        self.protocols = {name: find_protocol(name) for name in names}
        self.distance = build_distance(**(distance or {}))

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

    def summarise(self, results):
        floors = [row['floor'] for row in results if row['floor'] is not None]
        records = []
        for name, protocol in self.protocols.items():
            rows = [row for row in results if name in row['values']]
            values = [row['values'][name] for row in rows]
            low, high = bootstrap_interval(values, self.seed)
            records.append(
                Record(
                    group='diversity',
                    name=self.distance.name,
                    key=f'{name}/{self.distance.name.replace(" ", "-")}',
                    value=float(np.mean(values)),
                    low=low,
                    high=high,
                    better='near the ceiling',
                    protocol=f'{name}: {protocol.description}',
                    network=self.distance.network,
                    range=self.distance.range,
                    inputs=len(rows),
                    samples=check_num_samples(name, rows[0]['samples']),
                    seed=self.seed,
                    extra=dict(
                        ceiling=self._ceiling(rows),
                        floor=float(np.mean(floors)) if floors else None,
                        inputs_of_the_protocol=protocol.inputs,
                        region=self.region,
                    ),
                )
            )
        return records

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


@METRICS.register_module()
class MomentCalibration(SampleMetric):
    """Is the spread of the samples right? See `image_calibration`.

    Args:
        cells: sides of the cells averaged before judging; 1: pixels. Independent pixel
            noise can be right per pixel and far too small in cells.
        tolerance: of the verdict on the spread-skill ratio.
        truth: 'package.module:function' from the path of an input to an object with
            ``mean`` and ``var`` (C,H,W; BGR, 0..255), for datasets that know them.
        truth_path_key: field of that path.
        kwargs: those of :class:`SampleMetric`.

    Where the model has a predictor, its moments are compared with too.
    """

    default_prefix = 'calibration'

    def __init__(
        self,
        cells=(1, 4, 16),
        tolerance: float = 0.1,
        truth: str | None = None,
        truth_path_key: str = 'pair_path',
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.cells, self.tolerance = tuple(cells), tolerance
        self.truth_path_key = truth_path_key
        self.truth = None
        if truth:
            module, _, function = truth.partition(':')
            self.truth = getattr(importlib.import_module(module), function)

    def measure(self, index, samples, target, mask, data, data_batch):
        row = dict(samples=len(samples))
        for cell in self.cells:
            if mask is not None and not calibration.cells_inside(mask, cell).any():
                continue  # a small hole beside the grid of cells
            row[cell] = calibration.image_calibration(
                samples, target, cell, self.seed, index, mask
            )
        moments = {}
        if data.get('pred_var') is not None:
            moments['predictor'] = (
                rgb_unit(data['pred_mean']),
                variance_unit(data['pred_var']),
            )
            nll = calibration.gaussian_nll(*moments['predictor'], target)
            row['predictor_nll'] = (
                (nll if mask is None else nll[..., mask[0] == 1]).mean().item()
            )
        if self.truth:
            truth = self.truth(field(data, self.truth_path_key))
            moments['truth'] = (
                rgb(torch.as_tensor(np.array(truth.mean))) / 255,
                variance_unit(torch.as_tensor(np.array(truth.var))),
            )
        for name, (mean, var) in moments.items():
            row[name] = calibration.moment_error(
                samples, mean.to(samples.device), var.to(samples.device), mask
            )
        return row

    def summarise(self, results):
        common = dict(
            group='calibration',
            network='none',
            range='[0, 1]',
            samples=results[0]['samples'],
            seed=self.seed,
        )
        records = []
        for cell in self.cells:
            rows = [row[cell] for row in results if cell in row]
            if not rows:
                print_log(
                    f'no cell of {cell}x{cell} lies in the hole of any input: '
                    'no calibration at that size',
                    'current',
                    logging.WARNING,
                )
                continue
            found = calibration.summarise(rows, self.seed, self.tolerance)
            prefix = '' if cell == 1 else f'cells{cell}/'
            protocol = (
                'held-out target, '
                f'{"pixels" if cell == 1 else f"cells of {cell}x{cell}"}'
                f'{"" if self.region == "image" else ", " + self.region}'
            )

            def add(
                key,
                name,
                better,
                low=None,
                high=None,
                *,
                found=found,
                rows=rows,
                prefix=prefix,
                protocol=protocol,
                **extra,
            ):
                records.append(
                    Record(
                        key=prefix + key,
                        name=name,
                        value=found[key],
                        better=better,
                        protocol=protocol,
                        low=low,
                        high=high,
                        extra=extra,
                        inputs=len(rows),
                        **common,
                    )
                )

            add(
                'spread_skill',
                'spread-skill ratio',
                '1',
                found['spread_skill_low'],
                found['spread_skill_high'],
                verdict=found['verdict'],
                spread=found['spread'],
                rmse=found['rmse'],
                tolerance=self.tolerance,
            )
            add('crps', 'fair CRPS', 'lower')
            add('nll', 'NLL, Gaussian with sample moments', 'lower')
            add('unevenness', 'rank histogram, unevenness', '0', ranks=found['ranks'])
            add('outer', 'rank histogram, outer ranks over due', '1')
            add(
                'gain',
                'gain of the K-average',
                f'{found["gain_exact"]:.3f}',
                exact=found['gain_exact'],
            )
            add('bias', 'bias of the mean', '0')
        for name in ('predictor', 'truth'):
            rows = [row[name] for row in results if name in row]
            if not rows:
                continue
            found = calibration.summarise_moments(rows)
            for key, title, better in (
                ('mean_rmse', 'RMSE of the sample mean, var/K removed', '0'),
                ('std_rmse', 'RMSE of the sample std', '0'),
                ('var_ratio', 'sample variance over it', '1'),
            ):
                records.append(
                    Record(
                        key=f'{name}_{key}',
                        name=title,
                        value=found[key],
                        better=better,
                        protocol=f'against the {name}, pixels',
                        inputs=len(rows),
                        **common,
                    )
                )
        nll = [row['predictor_nll'] for row in results if 'predictor_nll' in row]
        if nll:
            records.append(
                Record(
                    key='predictor_nll',
                    name="NLL, Gaussian with the predictor's moments",
                    value=float(np.mean(nll)),
                    better='lower',
                    inputs=len(nll),
                    protocol='held-out target, pixels',
                    **common,
                )
            )
        return records
