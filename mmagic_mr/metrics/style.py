"""Whether the parts of a sample are of one style, and how many styles are reached."""

import numpy as np
import torch

from mmagic_mr.checks import Count, checked
from mmagic_mr.host import METRICS
from mmagic_mr.metrics.answers import mean_references
from mmagic_mr.metrics.base import SampleMetric, field, rgb_unit
from mmagic_mr.metrics.functional.bootstrap import bootstrap_interval
from mmagic_mr.metrics.functional.protocols import choose_inputs
from mmagic_mr.metrics.functional.style import (
    agreement,
    expected_reached,
    nearest_other,
    nearest_style,
)
from mmagic_mr.metrics.networks.perceptual import build_distance
from mmagic_mr.metrics.truth import (
    find_truth,
    is_complete,
    real_answers,
    reference_samplers,
)

PERFECT = 'perfect sampler'


@METRICS.register_module()
class StyleConsistency(SampleMetric):
    """Are the two halves of a sample of one style, and which styles are there?

    For data sets whose answers are one for each style, as a word in every typeface:
    those whose truth has `parts`. Three numbers:

    - *consistency*: how much more often the styles that are nearest to the two parts
      are the same than those of parts of two different samples. A collapsed sampler
      has 0, and so have parts that know nothing of each other. By distance of pixels,
      and by LPIPS. A perfect sampler is one of a style that is not in the list: of each
      answer, its own style is left out.
    - *distance* from a sample to the nearest answer, over that from an answer to the
      nearest other one: 0 is a copy, 1 what a further style has.
    - *styles reached* by many samples of an input, drawn for this number.

    Args:
        truth: 'package.module:function' that knows answers of an input, see
            :mod:`mmagic_mr.metrics.truth`.
        truth_path_key: field of the path that it takes.
        distance: config of `build_distance`; 'pixel': no second consistency.
        inputs: so many, spread evenly.
        mode_inputs: so many for the styles reached.
        many: samples of each of these.
        kwargs: those of :class:`SampleMetric`.
    """

    group = 'style'
    headlines = {  # noqa: RUF012
        'pixel': 'style consistency, pixel',
        'lpips': 'style consistency, {network}',
        'reached': 'styles reached',
    }

    @checked
    def __init__(
        self,
        truth: str | None = None,
        truth_path_key: str = 'pair_path',
        distance: dict | None = None,
        inputs: Count = 96,
        mode_inputs: Count = 16,
        many: Count = 200,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.truth = find_truth(truth) if truth else None
        self.truth_path_key = truth_path_key
        self.inputs, self.mode_inputs, self.many = inputs, mode_inputs, many
        self.spaces = dict(pixel=_pixels)
        if self.truth is not None:
            self.distance = build_distance(**(distance or {}))
            if hasattr(self.distance, 'points'):
                self.spaces['lpips'] = self.distance.points

    @classmethod
    def default_config(cls, options):
        return dict(distance=options.distance, seed=options.seed, **options.known)

    @classmethod
    def samples_needed(cls, options):
        return 2

    def prepare(self, module, dataloader):
        super().prepare(module, dataloader)
        self.chosen = set(choose_inputs(self.size, self.inputs))
        self.drawn_for = set(choose_inputs(self.size, self.mode_inputs))

    def process(self, data_batch, data_samples):
        self._first = self._seen  # of the batch
        super().process(data_batch, data_samples)

    def measure(self, index, samples, target, mask, data, data_batch):
        wanted = self.truth and index in self.chosen | self.drawn_for
        truth = self.truth(field(data, self.truth_path_key)) if wanted else None
        if not getattr(truth, 'parts', None) or not is_complete(truth):
            return {}
        rng = np.random.default_rng([self.seed, index, len('styles')])
        answers = real_answers(truth, 0, rng)  # all of them, since they are complete
        samples = samples.cpu()
        row = dict(samples=len(samples), styles=len(answers))
        if index in self.chosen:
            references = _faulty(truth, len(samples), rng)
            for name, points in self.spaces.items():
                row[name] = _consistency(
                    points, truth.parts, answers, samples, references
                )
            row['distance'] = _distance(answers, samples, references)
        if index in self.drawn_for:
            batch = _one_of(data_batch, self._seen - 1 - self._first)
            (output,) = self.module.val_step(batch, num_samples=self.many)
            many = rgb_unit(field(output.to_dict(), 'samples')).cpu()
            references = _faulty(truth, self.many, rng)
            row['reached'] = _reached(answers, many, references)
        return row

    def summarize(self, results):
        rows = [row for row in results if row]
        if not rows:
            return []
        styles = f'{rows[0]["styles"]} styles'
        records = [
            self._record(
                rows,
                space,
                f'style consistency, {name}',
                f'nearest of {styles} of each part, the same more often than of '
                'different samples by',
                better='near the perfect',
                network=network,
            )
            for space, (name, network) in self._names().items()
        ]
        records.append(
            self._record(
                rows,
                'distance',
                'distance to the nearest answer over that of answers',
                f'{styles}, whole pictures, root mean square',
                better='1',
            )
        )
        records.append(
            self._record(
                rows,
                'reached',
                f'styles reached by {self.many} samples',
                f'nearest of {styles}, whole pictures, root mean square',
                better='near the perfect',
                samples=self.many,
            )
        )
        return [record for record in records if record is not None]

    def _names(self):
        """What is printed of each space, and its network."""
        names = dict(pixel=('pixel', 'none'))
        if 'lpips' in self.spaces:
            names['lpips'] = self.distance.name, self.distance.network
        return names

    def _record(self, rows, key, name, protocol, **fields):
        found = [row[key] for row in rows if key in row]
        if not found:
            return None
        values = [one['value'] for one in found]
        low, high = bootstrap_interval(values, self.seed)
        extra = {
            what: float(np.mean([one[what] for one in found]))
            for what in ('same', 'chance')
            if what in found[0]
        }
        extra |= mean_references([one['references'] for one in found])
        common = dict(network='none', range='[0, 1]', samples=rows[0]['samples'])
        return self.record(
            key=key,
            name=name,
            value=float(np.mean(values)),
            low=low,
            high=high,
            protocol=protocol,
            inputs=len(found),
            extra=extra,
            **{**common, **fields},
        )


def _faulty(truth, count, rng):
    """Samplers of known faults; what the perfect one has is known better."""
    found = reference_samplers(truth, count, rng)
    found.pop(PERFECT, None)
    return found


def _pixels(images):
    """Points whose distance is the root mean square."""
    return images.flatten(1) / images[0].numel() ** 0.5


def _consistency(points, parts, answers, samples, references):
    """Of samples and references, in a space of points."""
    cut = [slice_of(box) for box in parts]
    styles = [points(answers[where]) for where in cut]

    def of(images):
        found = [
            nearest_style(points(images[where]), known)[0]
            for where, known in zip(cut, styles, strict=True)
        ]
        return agreement(*found)

    same, chance = of(samples)
    known = {PERFECT: agreement(*(nearest_other(some)[0] for some in styles))}
    known |= {name: of(images) for name, images in references.items()}
    excess = {name: one - other for name, (one, other) in known.items()}
    return dict(value=same - chance, same=same, chance=chance, references=excess)


def _distance(answers, samples, references):
    styles = _pixels(answers)
    unit = nearest_other(styles)[1].mean()

    def of(images):
        return float(nearest_style(_pixels(images), styles)[1].mean() / unit)

    known = {name: of(images) for name, images in references.items()}
    return dict(value=of(samples), references={PERFECT: 1.0, **known})


def _reached(answers, samples, references):
    styles = _pixels(answers)

    def of(images):
        return float(len(nearest_style(_pixels(images), styles)[0].unique()))

    known = {PERFECT: expected_reached(len(samples), len(styles))}
    known |= {name: of(images) for name, images in references.items()}
    return dict(value=of(samples), references=known)


def slice_of(box):
    """Index of a box (top, left, height, width) in (..., H, W)."""
    top, left, height, width = box
    return ..., slice(top, top + height), slice(left, left + width)


def _one_of(batch, place):
    """The batch of one input of a batch, however it is collated."""
    if isinstance(batch, dict):
        return {key: _one_of(value, place) for key, value in batch.items()}
    if isinstance(batch, torch.Tensor):
        return batch[place : place + 1]
    return [batch[place]]
