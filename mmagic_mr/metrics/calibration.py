"""Whether the spread of the samples is right, not just large."""

import logging

import numpy as np
from mmengine.logging import print_log

from mmagic_mr.checks import Count, Positive, checked
from mmagic_mr.host import METRICS
from mmagic_mr.metrics.base import SampleMetric, field, rgb_unit, variance_unit
from mmagic_mr.metrics.functional import calibration, coverage
from mmagic_mr.metrics.functional.bootstrap import bootstrap_interval
from mmagic_mr.metrics.truth import find_truth, true_moments

# Key in `calibration.summarize`, what is printed, and what is better.
NUMBERS = (
    ('spread_skill', 'spread-skill ratio', '1'),
    ('crps', 'fair CRPS', 'lower'),
    ('nll', 'NLL, Gaussian with sample moments', 'lower'),
    ('unevenness', 'rank histogram, unevenness', '0'),
    ('outer', 'rank histogram, outer ranks over due', '1'),
    ('gain', 'gain of the K-average', '2K/(K+1)'),
    ('bias', 'bias of the mean', '0'),
)
# The same in `calibration.summarize_moments`.
MOMENT_NUMBERS = (
    ('mean_rmse', 'RMSE of the sample mean, var/K removed', '0'),
    ('std_rmse', 'RMSE of the sample std', '0'),
    ('var_ratio', 'sample variance over it', '1'),
)

LEVELS = (0.5, 0.9)  # of the central intervals


@METRICS.register_module()
class MomentCalibration(SampleMetric):
    """Is the spread of the samples right? See `image_calibration`.

    Args:
        cells: sides of the cells averaged before judging; 1: pixels. Independent pixel
            noise can be right per pixel and far too small in cells.
        tolerance: of the verdict on the spread-skill ratio.
        truth: 'package.module:function' that knows the moments of an input, see
            :mod:`mmagic_mr.metrics.truth`.
        truth_path_key: field of the path that it takes.
        kwargs: those of :class:`SampleMetric`.

    Where the model has a predictor, its moments are compared with too.
    """

    group = 'calibration'
    headlines = {  # noqa: RUF012
        'spread_skill': 'spread-skill (1)',
        'cells16/spread_skill': 'spread-skill, 16x16 (1)',
        'crps': 'fair CRPS (low)',
        'coverage90': 'coverage, 90% interval',
        'nll': 'NLL (low)',
        'gain': 'K-average gain',
    }

    @checked
    def __init__(
        self,
        cells: tuple[Count, ...] = (1, 4, 16),
        tolerance: Positive = 0.1,
        truth: str | None = None,
        truth_path_key: str = 'pair_path',
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.cells, self.tolerance = tuple(cells), tolerance
        self.truth_path_key = truth_path_key
        self.truth = find_truth(truth) if truth else None

    @classmethod
    def default_config(cls, options):
        return dict(seed=options.seed, **options.known, **options.region)

    @classmethod
    def samples_needed(cls, options):
        return 2

    def measure(self, index, samples, target, mask, data, data_batch):
        row = dict(samples=len(samples))
        for cell in self.cells:
            if mask is not None and not calibration.cells_inside(mask, cell).any():
                continue  # a small hole beside the grid of cells
            row[cell] = calibration.image_calibration(
                samples, target, cell, self.seed, index, mask
            )
        if data.get('pred_var') is not None:
            moments = rgb_unit(data['pred_mean']), variance_unit(data['pred_var'])
            row['predictor'] = calibration.moment_error(samples, *moments, mask)
            nll = calibration.gaussian_nll(*moments, target)
            inside = nll if mask is None else nll[..., mask[0] == 1]
            row['predictor_nll'] = inside.mean().item()
        if self.truth:
            moments = true_moments(self.truth(field(data, self.truth_path_key)))
            if moments is not None:
                moments = [moment.to(samples.device) for moment in moments]
                row['truth'] = calibration.moment_error(samples, *moments, mask)
        return row

    def summarize(self, results):
        # What all records share
        self._common = dict(
            network='none', range='[0, 1]', samples=results[0]['samples']
        )
        records = []
        for cell in self.cells:
            rows = [row[cell] for row in results if cell in row]
            records += self._of_cells(cell, rows)
        for name in ('predictor', 'truth'):
            rows = [row[name] for row in results if name in row]
            records += self._of_moments(name, rows)
        nll = [row['predictor_nll'] for row in results if 'predictor_nll' in row]
        if nll:
            records.append(
                self.record(
                    key='predictor_nll',
                    name="NLL, Gaussian with the predictor's moments",
                    value=float(np.mean(nll)),
                    better='lower',
                    inputs=len(nll),
                    protocol='held-out target, pixels',
                    **self._common,
                )
            )
        return records

    def _of_cells(self, cell, rows):
        """Records of one cell size."""
        if not rows:
            print_log(
                f'no cell of {cell}x{cell} lies in the hole of any input: '
                'no calibration at that size',
                'current',
                logging.WARNING,
            )
            return []
        found = calibration.summarize(rows, self.seed, self.tolerance)
        prefix = '' if cell == 1 else f'cells{cell}/'
        where = 'pixels' if cell == 1 else f'cells of {cell}x{cell}'
        region = '' if self.region == 'image' else f', {self.region}'
        more = dict(
            spread_skill=dict(
                low=found['spread_skill_low'],
                high=found['spread_skill_high'],
                extra=dict(
                    verdict=found['verdict'],
                    spread=found['spread'],
                    rmse=found['rmse'],
                    tolerance=self.tolerance,
                ),
            ),
            unevenness=dict(extra=dict(ranks=found['ranks'])),
            gain=dict(
                better=f'{found["gain_exact"]:.3f}',
                extra=dict(exact=found['gain_exact']),
            ),
        )
        protocol = f'held-out target, {where}{region}'
        return [
            self.record(
                key=prefix + key,
                name=name,
                value=found[key],
                protocol=protocol,
                inputs=len(rows),
                **{'better': better, **self._common, **more.get(key, {})},
            )
            for key, name, better in NUMBERS
        ] + [
            self.record(
                key=prefix + key,
                protocol=protocol,
                inputs=len(rows),
                **self._common,
                **fields,
            )
            for key, fields in self._of_ranks([row['ranks'] for row in rows])
        ]

    def _of_ranks(self, shares):
        """Key and fields of what the ranks say: coverage of intervals, and the PIT."""
        mean, k = np.mean(shares, axis=0), len(shares[0]) - 1
        intervals = coverage.central_intervals(k)
        # With the ends, where nothing and everything is covered
        due = [0.0, *(one.nominal for one in intervals), 1.0]
        reached = [float(coverage.coverage(mean, one.cut)) for one in intervals]
        for level in LEVELS:
            cut, nominal = coverage.central_interval(k, level)
            inside = coverage.coverage(shares, cut)
            low, high = bootstrap_interval(inside, self.seed)
            extra = dict(exact=nominal)
            if level == LEVELS[-1]:
                extra['curve'] = dict(
                    title='coverage of central intervals over their nominal coverage',
                    x=due,
                    y=[0.0, *reached, 1.0],
                    due=due,
                )
            yield (
                f'coverage{round(100 * level)}',
                dict(
                    name=f'coverage of the {level:.0%} interval '
                    f'(samples {cut} to {k + 1 - cut} of {k} in order)',
                    value=float(inside.mean()),
                    low=low,
                    high=high,
                    better=f'{nominal:.3f}',
                    extra=extra,
                ),
            )
        pit = coverage.pit_histogram(mean)
        yield (
            'pit',
            dict(
                name='PIT histogram, unevenness',
                value=calibration.rank_flatness(pit)['unevenness'],
                better='0',
                extra=dict(pit=pit.tolist()),
            ),
        )

    def _of_moments(self, name, rows):
        """Records against the moments of the predictor, or the true ones."""
        if not rows:
            return []
        found = calibration.summarize_moments(rows)
        return [
            self.record(
                key=f'{name}_{key}',
                name=title,
                value=found[key],
                better=better,
                protocol=f'against the {name}, pixels',
                inputs=len(rows),
                **self._common,
            )
            for key, title, better in MOMENT_NUMBERS
        ]
