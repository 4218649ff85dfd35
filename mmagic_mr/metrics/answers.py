"""How far the samples are from all the real answers that an input has."""

import logging

import numpy as np
from mmengine.logging import print_log

from mmagic_mr.checks import Count, checked
from mmagic_mr.host import METRICS
from mmagic_mr.metrics.base import SampleMetric, field
from mmagic_mr.metrics.functional.answers import (
    energy_of,
    mmd_of,
    set_distances,
)
from mmagic_mr.metrics.functional.bootstrap import bootstrap_interval
from mmagic_mr.metrics.truth import (
    find_truth,
    is_complete,
    real_answers,
    reference_samplers,
)

# Key of the row, what is printed, of what.
NUMBERS = (
    ('energy', 'energy distance to the answers', 'root mean square as the distance'),
    ('mmd', 'MMD^2 to the answers', 'Gaussian kernel, median distance of answers'),
)


@METRICS.register_module()
class AnswerDistance(SampleMetric):
    """Energy distance and MMD between the samples and a set of real answers.

    The strictest of all: where several real answers of one input are known, or can be
    drawn, the two sets are compared as they are, without any fit. Unbiased, so that an
    exact sampler scores 0 within the interval. Without a truth, no numbers. Beside
    each number stand those of `reference_samplers`, on the same inputs.

    Args:
        truth: 'package.module:function' that knows answers of an input, see
            :mod:`mmagic_mr.metrics.truth`.
        truth_path_key: field of the path that it takes.
        answers: real pictures of each input, drawn, or of those that there are; of
            complete ones all are taken.
        kwargs: those of :class:`SampleMetric`. With ``mask_key`` the hole alone
            counts.
    """

    group = 'answers'
    headlines = {'energy': 'energy distance (0)'}  # noqa: RUF012

    @checked
    def __init__(
        self,
        truth: str | None = None,
        truth_path_key: str = 'pair_path',
        answers: Count = 32,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.truth = find_truth(truth) if truth else None
        self.truth_path_key, self.answers = truth_path_key, answers

    @classmethod
    def default_config(cls, options):
        return dict(seed=options.seed, **options.known, **options.region)

    def measure(self, index, samples, target, mask, data, data_batch):
        if self.truth is None:
            return {}
        rng = np.random.default_rng([self.seed, index, len('answers')])
        truth = self.truth(field(data, self.truth_path_key))
        answers = real_answers(truth, self.answers, rng)
        if answers is None:
            return {}
        complete, goal = is_complete(truth), _points(answers, mask)
        between = set_distances(goal, goal).between

        def distances(images):
            found = set_distances(_points(images, mask), goal, between)
            return dict(
                energy=energy_of(found, complete), mmd=mmd_of(found, complete=complete)
            )

        references = reference_samplers(truth, len(samples), rng)
        return dict(
            samples=len(samples),
            answers=len(answers),
            complete=complete,
            references={name: distances(some) for name, some in references.items()},
            **distances(samples),
        )

    def summarize(self, results):
        rows = [row for row in results if row]
        if not rows:
            if self.truth is not None:
                print_log(
                    'no distance to the answers: the truth has neither draw nor '
                    'answers',
                    'current',
                    logging.WARNING,
                )
            return []
        region = '' if self.region == 'image' else f', {self.region}'
        counts = sorted({row['answers'] for row in rows})
        many = '-'.join(map(str, sorted({counts[0], counts[-1]})))
        if rows[0]['complete']:
            many = f'all {many}'
        return [
            self._record(rows, key, name, f'{many} real answers of each, {how}{region}')
            for key, name, how in NUMBERS
        ]

    def _record(self, rows, key, name, protocol):
        values = [row[key] for row in rows]
        low, high = bootstrap_interval(values, self.seed)
        return self.record(
            key=key,
            name=name,
            value=float(np.mean(values)),
            low=low,
            high=high,
            better='0',
            protocol=protocol,
            network='none',
            range='[0, 1]',
            inputs=len(rows),
            samples=rows[0]['samples'],
            extra=mean_references(
                [
                    {name: found[key] for name, found in row['references'].items()}
                    for row in rows
                ]
            ),
        )


def mean_references(rows: list[dict[str, float]]) -> dict:
    """``extra`` of a record: the mean over inputs of what each reference has."""
    if not rows[0]:
        return {}
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return dict(references=means)


def _points(images, mask):
    images = images.cpu()
    if mask is not None:
        images = images[..., mask[0].cpu() == 1]
    # So that the norm is a root mean square, in the range of the values
    return images.double().flatten(1) / images[0].numel() ** 0.5
