"""The metrics for MMagic's evaluator: thin classes over the functions beside them.

All take the `samples` that the model's test step leaves in each data sample, so the K
samples are drawn once, whatever number of metrics there are.
"""
import copy
import importlib
import logging

import numpy as np
import torch
from mmagic.evaluation.metrics.ssim import ssim
from mmagic.registry import METRICS
from mmengine.logging import print_log

from . import calibration, fidelity
from .base import SampleMetric, field, rgb, rgb_unit, variance_unit
from .bootstrap import bootstrap_interval
from .diversity import sample_diversity
from .perceptual import build_distance
from .protocols import check_num_samples, choose_inputs, find_protocol, real_ring
from .report import Record


@METRICS.register_module()
class SampleDiversity(SampleMetric):
    """Mean distance between samples of one input, with ceiling and floor.

    The ceiling is the distance of random pairs of real images (each with its neighbour
    on a random ring of the inputs used). The floor is the distance of a sample from the
    one drawn again with the same z: above 0, something random is outside z.

    Args:
        protocols: names in :data:`mmagic_mr.metrics.protocols.PROTOCOLS`.
        distance: config of :func:`mmagic_mr.metrics.perceptual.build_distance`:
            ``dict(name='lpips', net='alex', version='0.1', backbone=None)``.
        kwargs: those of :class:`SampleMetric`. With ``mask_key`` the distance map
            is averaged over the hole.

    Raises:
        BackboneMissing: when built, if the network was not fetched; says how.
        ValueError: at the first input, if the model draws too few samples.
    """

    default_prefix = 'diversity'

    def __init__(self, protocols=('lee2019', ), distance: dict | None = None, **kwargs):
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
            name: sample_diversity(samples, self.distance, name, self.seed,
                                             index, weights)
            for name, chosen in self.chosen.items() if index in chosen
        }
        row = dict(values=values, samples=len(samples),
                   floor=self._floors.pop(0) if self._floors else None)
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
            draws.append(torch.stack([
                rgb_unit(field(output.to_dict(), 'samples')[0]) for output in outputs]))
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
                        region=self.region)))
        return records

    def _ceiling(self, rows):
        """Mean distance of random pairs of real images; None if they cannot pair."""
        if len({row['target'].shape for row in rows}) != 1:
            return None
        found = []
        for i, j in real_ring(len(rows), self.seed).tolist():
            pair = (torch.from_numpy(rows[n]['target'])[None].to(self.device) / 255
                    for n in (i, j))
            mask = rows[i]['mask']
            if mask is not None:
                mask = torch.from_numpy(mask)[None].float().to(self.device)
            found.append(self.distance(*pair, mask).item())
        return float(np.mean(found)) if found else None


@METRICS.register_module()
class MomentCalibration(SampleMetric):
    """Is the spread of the samples right? See :mod:`mmagic_mr.metrics.calibration`.

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

    def __init__(self, cells=(1, 4, 16), tolerance: float = 0.1,
                 truth: str | None = None, truth_path_key: str = 'pair_path', **kwargs):
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
            row[cell] = calibration.image_calibration(samples, target, cell, self.seed,
                                                      index, mask)
        moments = {}
        if data.get('pred_var') is not None:
            moments['predictor'] = rgb_unit(data['pred_mean']), variance_unit(
                data['pred_var'])
            nll = calibration.gaussian_nll(*moments['predictor'], target)
            row['predictor_nll'] = (nll if mask is None else nll[..., mask[0] == 1]
                                    ).mean().item()
        if self.truth:
            truth = self.truth(field(data, self.truth_path_key))
            moments['truth'] = (rgb(torch.as_tensor(np.array(truth.mean))) / 255,
                                variance_unit(torch.as_tensor(np.array(truth.var))))
        for name, (mean, var) in moments.items():
            row[name] = calibration.moment_error(
                samples, mean.to(samples.device), var.to(samples.device), mask)
        return row

    def summarise(self, results):
        common = dict(group='calibration', network='none', range='[0, 1]',
                      samples=results[0]['samples'], seed=self.seed)
        records = []
        for cell in self.cells:
            rows = [row[cell] for row in results if cell in row]
            if not rows:
                print_log(f'no cell of {cell}x{cell} lies in the hole of any input: '
                          'no calibration at that size', 'current', logging.WARNING)
                continue
            found = calibration.summarise(rows, self.seed, self.tolerance)
            prefix = '' if cell == 1 else f'cells{cell}/'
            protocol = ('held-out target, '
                        f'{"pixels" if cell == 1 else f"cells of {cell}x{cell}"}'
                        f'{"" if self.region == "image" else ", " + self.region}')

            def add(key, name, better, low=None, high=None, *, found=found, rows=rows,
                    prefix=prefix, protocol=protocol, **extra):
                records.append(Record(
                    key=prefix + key, name=name, value=found[key], better=better,
                    protocol=protocol, low=low, high=high, extra=extra,
                    inputs=len(rows), **common))

            add('spread_skill', 'spread-skill ratio', '1', found['spread_skill_low'],
                found['spread_skill_high'], verdict=found['verdict'],
                spread=found['spread'], rmse=found['rmse'], tolerance=self.tolerance)
            add('crps', 'fair CRPS', 'lower')
            add('nll', 'NLL, Gaussian with sample moments', 'lower')
            add('unevenness', 'rank histogram, unevenness', '0', ranks=found['ranks'])
            add('outer', 'rank histogram, outer ranks over due', '1')
            add('gain', 'gain of the K-average', f'{found["gain_exact"]:.3f}',
                exact=found['gain_exact'])
            add('bias', 'bias of the mean', '0')
        for name in ('predictor', 'truth'):
            rows = [row[name] for row in results if name in row]
            if not rows:
                continue
            found = calibration.summarise_moments(rows)
            for key, title, better in (
                    ('mean_rmse', 'RMSE of the sample mean, var/K removed', '0'),
                    ('std_rmse', 'RMSE of the sample std', '0'),
                    ('var_ratio', 'sample variance over it', '1')):
                records.append(Record(
                    key=f'{name}_{key}', name=title, value=found[key], better=better,
                    protocol=f'against the {name}, pixels', inputs=len(rows), **common))
        nll = [row['predictor_nll'] for row in results if 'predictor_nll' in row]
        if nll:
            records.append(Record(
                key='predictor_nll', name="NLL, Gaussian with the predictor's moments",
                value=float(np.mean(nll)), better='lower', inputs=len(nll),
                protocol='held-out target, pixels', **common))
        return records


NEIGHBOURS = dict(precision_recall=3, density_coverage=5)


@METRICS.register_module()
class SampleFidelity(SampleMetric):
    """FID, KID, precision and recall, density and coverage against the real targets.

    Args:
        extractor: config of :class:`mmagic_mr.metrics.fidelity.Extractor`; its name is
            part of every result's name.
        measures: some of 'fid', 'kid', 'precision_recall', 'density_coverage'; None:
            those for which the test set is large enough.
        samples_per_input: how many samples of each input count as fakes; with 1 there
            are as many fakes as real images.
        kwargs: those of :class:`SampleMetric`.
    """

    default_prefix = 'fidelity'
    MEASURES = ('fid', 'kid', 'precision_recall', 'density_coverage')

    def __init__(self, extractor: dict | None = None, measures=None,
                 samples_per_input: int = 1, **kwargs):
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
                    f'{self.size}: leave it out of measures')

    def measure(self, index, samples, target, mask, data, data_batch):
        if len(samples) < self.samples_per_input:
            raise ValueError(
                f'samples_per_input={self.samples_per_input}, and the model drew '
                f'{len(samples)}: add --cfg-options '
                f'model.eval_num_samples={self.samples_per_input}')
        self.extractor.to(samples.device)
        images = torch.cat([target[None], samples[:self.samples_per_input]])
        features = self.extractor(images).numpy()
        return dict(real=features[:1], fake=features[1:])

    def summarise(self, results):
        real, fake = (torch.from_numpy(np.concatenate([row[key] for row in results]))
                      for key in ('real', 'fake'))
        name = self.extractor.name
        common = dict(
            group='fidelity', network=name,
            range=f'{self.extractor.input}'
            f'{f", resized to {self.extractor.size}" if self.extractor.size else ""}',
            inputs=len(real), samples=self.samples_per_input, seed=self.seed)
        counts = f'{len(real)} real, {len(fake)} fake'
        dim = real.shape[1]
        few = '' if len(real) > dim else f', fewer than the {dim} features: biased up'
        records = []

        def add(title, value, better, protocol, **extra):
            records.append(Record(
                name=f'{title} ({name})', key=f'{title}[{name}]', value=value,
                better=better, protocol=f'{counts}, {protocol}', extra=extra, **common))

        if 'fid' in self.measures:
            add('FID', fidelity.frechet_distance(real, fake), 'lower',
                'torch-fidelity' + few)
        if 'kid' in self.measures:
            value, std = fidelity.kernel_distance(real, fake, seed=self.seed)
            add('KID', value, 'lower', 'torch-fidelity, subsets of 1000 at most',
                std_over_subsets=std)
        if 'precision_recall' in self.measures:
            found = fidelity.precision_recall(real, fake,
                                              NEIGHBOURS['precision_recall'])
            for title, value in zip(('precision', 'recall'), found, strict=True):
                add(title, value, 'higher',
                    f'torch-fidelity, k={NEIGHBOURS["precision_recall"]}')
        if 'density_coverage' in self.measures:
            found = fidelity.density_coverage(real, fake,
                                              NEIGHBOURS['density_coverage'])
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

    def __init__(self, distance: dict | None = dict(name='lpips'),  # noqa: B006
                 low_key: str | None = None, **kwargs):
        super().__init__(**kwargs)
        self.distance = build_distance(**distance) if distance is not None else None
        self.low_key = low_key

    def measure(self, index, samples, target, mask, data, data_batch):
        row = dict(samples=len(samples))
        row['PSNR'] = fidelity.best_and_mean(fidelity.psnr(samples, target), True)
        real, *fakes = (
            (255 * image).permute(1, 2, 0).cpu().numpy()
            for image in (target, *samples))
        row['SSIM'] = fidelity.best_and_mean(
            torch.tensor([ssim(real, fake) for fake in fakes]), True)
        if self.distance is not None:
            self.distance.to(samples.device)
            k = len(samples)
            pairs = torch.stack([torch.arange(k), torch.full((k, ), k)], 1)
            found = self.distance.pairs(torch.cat([samples, target[None]]), pairs)
            row['distance'] = fidelity.best_and_mean(found, False)
        if self.low_key:
            low = rgb_unit(field(data, self.low_key)).to(samples.device)
            found = fidelity.low_resolution_psnr(samples, low)
            row['LR-PSNR'] = fidelity.best_and_mean(found, True)
        return row

    def summarise(self, results):
        rows = {'PSNR': ('dB', 'higher', 'none', '[0, 1] RGB, identical = 100 dB'),
                'SSIM': ('', 'higher', 'none', '0..255 RGB, Gaussian window 11')}
        if self.distance is not None:
            rows['distance'] = ('', 'lower', self.distance.network,
                                self.distance.range)
        if self.low_key:
            rows['LR-PSNR'] = ('dB', 'higher', 'none',
                               '[0, 1] RGB, antialiased bicubic reduction')
        records = []
        k = results[0]['samples']
        for key, (unit, better, network, value_range) in rows.items():
            name = self.distance.name if key == 'distance' else key
            for column, (short, words) in enumerate(
                    (('best', f'best of {k}'), ('mean', f'mean of {k}'))):
                values = [row[key][column] for row in results]
                low, high = bootstrap_interval(values, self.seed)
                records.append(Record(
                    group='reconstruction', name=f'{name}, {words}',
                    key=f'{name.replace(" ", "-")}_{short}',
                    value=float(np.mean(values)), low=low, high=high, unit=unit,
                    better=better,
                    protocol='each sample, reduced, against the low-resolution input'
                    if key == 'LR-PSNR' else
                    'each sample against the held-out target, whole image',
                    network=network, range=value_range, inputs=len(results), samples=k,
                    seed=self.seed))
        return records
