"""Scores of a study, per method, averaged over participants.

The positive class is "fake": a hit is a fake called fake, a false alarm a real image
called fake. ``n`` images of each kind per method and participant.
"""

import json
from collections import Counter
from statistics import NormalDist

import numpy as np

from mmagic_mr import __version__
from mmagic_mr.errors import UserError
from mmagic_mr.metrics.functional.bootstrap import bootstrap_interval
from mmagic_mr.study.store import Store

STATISTICS = ('realism', 'd_prime', 'accuracy', 'criterion', 'hit_rate', 'false_alarms')
DEFINITIONS = dict(
    realism='2(1-F), F = F-measure of identifying fakes, mean over participants '
    '(Lee et al., ICLR 2019): 0 each fake is found, 1 chance, 2 no fake is found',
    d_prime='z(hit rate) - z(false-alarm rate), log-linear correction',
    accuracy='share of right answers',
    criterion='-(z(hit rate) + z(false-alarm rate)) / 2, log-linear correction; '
    'positive: tends to say "real"',
    hit_rate='share of fakes called fake',
    false_alarms='share of real images called fake',
)


def f_measure(hits: int, misses: int, false_alarms: int) -> float:
    """F-measure of identifying fakes: 2 P R / (P + R) = 2 TP / (2 TP + FP + FN).

    Args:
        hits, misses: Fakes called fake, and fakes called real.
        false_alarms: Real images called fake.

    Example:
        >>> f_measure(hits=10, misses=0, false_alarms=0)
        1.0
        >>> f_measure(hits=0, misses=10, false_alarms=0)
        0.0
        >>> f_measure(hits=5, misses=5, false_alarms=5)
        0.5
    """
    return 2 * hits / (2 * hits + false_alarms + misses)


def detection(
    hits: int, misses: int, false_alarms: int, rejections: int
) -> tuple[float, float]:
    """Sensitivity d' and criterion c of signal-detection theory.

    Rates get the log-linear correction (0.5 added to each count, 1 to each total),
    so that 0 % and 100 % stay finite.

    Args:
        hits, misses: Fakes called fake, and fakes called real.
        false_alarms, rejections: Real images called fake, and called real.

    Returns:
        d' = z(H) - z(FA), and c = -(z(H) + z(FA)) / 2.

    Reference:
        M. J. Hautus, "Corrections for extreme proportions and their biasing effects
        on estimated values of d'", Behavior Research Methods 27, 1995.

    Example:
        >>> d_prime, criterion = detection(10, 10, 10, 10)
        >>> abs(d_prime) + abs(criterion)
        0.0
    """
    z = NormalDist().inv_cdf
    hit_rate = z((hits + 0.5) / (hits + misses + 1))
    false_alarm_rate = z((false_alarms + 0.5) / (false_alarms + rejections + 1))
    return hit_rate - false_alarm_rate, -(hit_rate + false_alarm_rate) / 2


def score(
    store: Store,
    partial: bool = False,
    exclude_flagged: bool = False,
    resamples: int = 10_000,
    seed: int = 0,
) -> dict:
    """All scores of a study, ready for JSON.

    Args:
        partial: Count unfinished participants, too (who answered at least one fake
            and one real image of each method).
        exclude_flagged: Leave out those who always gave the same answer.

    Raises:
        UserError: If no participant is left.
    """
    methods = store.settings['methods']
    answers = {row['id']: [] for row in store.progress()}
    for row in store.scored_answers():
        answers[row['participant']].append(row)
    per_participant = 2 * store.settings['per_method'] * len(methods)

    people, rows, used = [], [], []
    for participant, own in answers.items():
        counts = Counter((r['method'], r['truth'], r['answer']) for r in own)
        finished = len(own) == per_participant
        always = _always(own)
        counted = (finished or (partial and _has_all_kinds(counts, methods))) and not (
            always and exclude_flagged
        )
        people.append(
            dict(
                id=participant,
                answered=len(own),
                finished=finished,
                always=always,
                counted=counted,
            )
        )
        if counted:
            rows.append([_statistics(counts, method) for method in methods])
            used += own
    if not rows:
        raise UserError(
            f'none of {len(people)} participants can be scored: '
            f'{sum(p["finished"] for p in people)} have finished'
            + ('' if partial else ' (--partial counts unfinished ones, too)')
        )

    values = np.array(rows)  # participants, methods, statistics
    low, high = bootstrap_interval(values, seed, resamples)
    mean = values.mean(axis=0)
    return dict(
        protocol='lee2019-realism',
        definitions=DEFINITIONS,
        study=store.settings['title'],
        made_at=store.settings['made_at'],
        exposure_s=store.settings['exposure'],
        per_method=store.settings['per_method'],
        participants=dict(
            invited=len(people),
            finished=sum(p['finished'] for p in people),
            counted=len(rows),
            flagged=[p['id'] for p in people if p['always']],
        ),
        interval=f'95% percentile bootstrap over participants, {resamples} resamples, '
        f'seed {seed}',
        methods={
            method: {
                name: dict(
                    mean=float(mean[i, j]),
                    low=float(low[i, j]) if len(rows) > 1 else None,
                    high=float(high[i, j]) if len(rows) > 1 else None,
                )
                for j, name in enumerate(STATISTICS)
            }
            for i, method in enumerate(methods)
        },
        display=_display(used, 1000 * store.settings['exposure']),
        people=people,
        version=__version__,
    )


def _always(answers: list) -> str | None:
    """The one answer that the participant always gave, if so."""
    given = {row['answer'] for row in answers}
    return given.pop() if len(answers) > 1 and len(given) == 1 else None


def _has_all_kinds(counts: Counter, methods: list[str]) -> bool:
    return all(
        counts[method, truth, 'real'] + counts[method, truth, 'fake']
        for method in methods
        for truth in ('real', 'fake')
    )


def _statistics(counts: Counter, method: str) -> list[float]:
    hits, misses = counts[method, 'fake', 'fake'], counts[method, 'fake', 'real']
    false_alarms = counts[method, 'real', 'fake']
    rejections = counts[method, 'real', 'real']
    fakes, reals = hits + misses, false_alarms + rejections
    d_prime, criterion = detection(hits, misses, false_alarms, rejections)
    by_name = dict(
        realism=2 * (1 - f_measure(hits, misses, false_alarms)),
        d_prime=d_prime,
        accuracy=(hits + rejections) / (fakes + reals),
        criterion=criterion,
        hit_rate=hits / fakes,
        false_alarms=false_alarms / reals,
    )
    return [by_name[name] for name in STATISTICS]


def _display(answers: list, asked_ms: float) -> dict:
    """Was each image really shown as long as asked, and once?"""
    errors = np.array([abs(a['shown_ms'] - asked_ms) for a in answers])
    frames = np.array([a['frame_ms'] for a in answers])
    return dict(
        within_one_frame=float(np.mean(errors <= frames)),
        largest_error_ms=float(errors.max()),
        with_dropped_frames=float(np.mean([a['dropped'] > 0 for a in answers])),
        seen_again=sum(a['views'] > 1 for a in answers),
        median_answer_ms=float(np.median([a['rt_ms'] for a in answers])),
    )


def table(result: dict) -> str:
    """The result for people, as a Markdown table with notes below."""
    people, display = result['participants'], result['display']
    heads = ['realism 2(1-F)', "d'", 'accuracy', 'criterion c', 'hits', 'false alarms']
    lines = [
        '| method | ' + ' | '.join(heads) + ' |',
        '|---' * (len(heads) + 1) + '|',
    ]
    for method, statistics in result['methods'].items():
        cells = [_cell(statistics[name]) for name in STATISTICS]
        lines.append(f'| {method} | ' + ' | '.join(cells) + ' |')
    lines += [
        '',
        f'{people["counted"]} of {people["invited"]} participants counted, '
        f'{people["finished"]} finished. Brackets: {result["interval"]}.',
        f'Exposure {result["exposure_s"]:g} s: {display["within_one_frame"]:.1%} of '
        f'images within one frame of it, {display["with_dropped_frames"]:.1%} with '
        f'dropped frames, {display["seen_again"]} answered after a second look.',
    ]
    for person in result['people']:
        if person['always']:
            lines.append(
                f'FLAG: participant {person["id"]} always said '
                f'"{person["always"]}" ({person["answered"]} answers'
                + ('' if person['counted'] else ', not counted')
                + ').'
            )
    return '\n'.join(lines)


def _cell(statistic: dict) -> str:
    if statistic['low'] is None:
        return f'{statistic["mean"]:.2f}'
    return f'{statistic["mean"]:.2f} [{statistic["low"]:.2f}, {statistic["high"]:.2f}]'


def to_json(result: dict) -> str:
    return json.dumps(result, indent=2)
