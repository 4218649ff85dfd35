"""Histograms and curves of a page: where their points lie, what is refused."""

import json
import re

import pytest

from mmagic_mr.errors import UserError
from mmagic_mr.metrics.record import Record
from mmagic_mr.reports.figures import AVERAGES, COVERAGE, PIT, RANKS, figures, plot
from mmagic_mr.reports.page import html_page
from mmagic_mr.reports.results import read_run, write_run

COVERED = dict(
    title='coverage over <level>', x=[0.0, 0.5, 1.0], y=[0, 0.25, 1], due=[0, 0.5, 1]
)
MEANS = dict(title='PSNR over k', x=[1, 2, 4], y=[20.0, 21.5, 22.0], doubling=True)


def write(folder, *extras):
    records = [
        Record(
            group='a',
            key=f'number{i}',
            name='number',
            value=1.0,
            better='0',
            protocol=f'protocol {i}',
            network='none',
            range='[0, 1]',
            inputs=3,
            samples=4,
            seed=0,
            extra=extra,
        )
        for i, extra in enumerate(extras)
    ]
    write_run(
        folder / 'run.json',
        method='MR2',
        records=records,
        config_name='a',
        config_text='x = 1',
        checkpoint=None,
        dataset=dict(type='Pairs', size=3, root='a'),
        seed=0,
        num_samples=4,
    )
    return folder / 'run.json'


def points(curve, **size):
    return {
        kind: [tuple(map(float, point.split(','))) for point in line.split()]
        for kind, line in plot(curve, **size)['curves']
    }


def test_points_lie_where_the_numbers_are():
    found = points(COVERED, width=148, height=124)  # 100 by 100 inside
    assert found['due'] == [(40, 108), (90, 58), (140, 8)]
    assert found['found'] == [(40, 108), (90, 83), (140, 8)]
    doubling = points(MEANS, width=148, height=124)
    assert list(doubling) == ['found']
    assert [x for x, _ in doubling['found']] == [40, 90, 140]
    assert [y for _, y in doubling['found']] == [108, 33, 8]
    texts = [text for *_, text in plot(MEANS)['texts']]
    assert texts == ['22', '20', '1', '4']
    flat = points(dict(MEANS, y=[3, 3, 3]), width=148, height=124)
    assert {y for _, y in flat['found']} == {58}


def test_a_page_shows_each_kind_under_its_words(tmp_path):
    file = write(
        tmp_path,
        dict(ranks=[0.2] * 5),
        dict(pit=[0.1] * 10),
        dict(curve=COVERED),
        dict(curve=MEANS),
    )
    run = read_run(file)
    assert {k: len(v) for k, v in figures(run['records']).items()} == {
        RANKS: 1,
        PIT: 1,
        COVERAGE: 1,
        AVERAGES: 1,
    }
    page = html_page([run], [tmp_path])
    assert page.count('<svg') == 4
    assert page.count('<rect') == 15
    assert page.count('<polyline') == 3
    assert page.count('<polyline class="due"') == 1
    assert 'coverage over &lt;level&gt;; protocol 2' in page
    assert not re.search(r'<level>|nan', page)


def test_a_run_without_figures_has_none(tmp_path):
    page = html_page([read_run(write(tmp_path, {}))], [tmp_path])
    assert '<svg' not in page
    assert RANKS not in page


@pytest.mark.parametrize(
    ('curve', 'words'),
    [
        (5, 'curve'),
        ({}, "no 'title'"),
        (dict(MEANS, title=1), 'title of the curve'),
        (dict(MEANS, y=[1, 2]), 'not as many y'),
        (dict(COVERED, due=[1, 2]), 'not as many y, or due'),
        (dict(MEANS, y=[1, 2, None]), 'y of the curve'),
        (dict(MEANS, y='abc'), 'y of the curve'),
        (dict(MEANS, x=[1, 1, 2]), 'does not rise'),
        (dict(MEANS, x=[0, 1, 2]), 'from above 0 if doubling'),
        (dict(MEANS, x=[1], y=[1]), 'does not rise'),
        (dict(MEANS, doubling='yes'), 'doubling of the curve'),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_curves_that_cannot_be_drawn_are_refused(tmp_path, curve, words):
    file = write(tmp_path, {})
    run = json.loads(file.read_text())
    run['records'][0]['extra']['curve'] = curve
    file.write_text(json.dumps(run))
    with pytest.raises(UserError, match=words):
        read_run(file)


def test_huge_numbers_are_drawn_all_the_same(tmp_path):
    for y in [-1e308, 1e308, 0], [1e-300, 2e-300, 3e-300], [1e20, 1e21, 1e22]:
        file = write(tmp_path, dict(curve=dict(MEANS, y=y)))
        assert 'nan' not in html_page([read_run(file)], [tmp_path])
