"""Collages: every picture in its cell, variances in the color of their log."""

from functools import partial

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

from mmagic_mr.reports.collage import (
    GAP,
    HEADINGS,
    LOG_RANGE,
    collage,
    color_map,
    log_dispersion_colors,
    save_picture,
    spread_inputs,
)

# The fields of a translation from labels to photos.
draw = partial(collage, input_key='img_label', target_key='img_photo')


def flat(value, side=8):
    """A BGR picture of one color, as test_step gives it."""
    return torch.as_tensor(value, dtype=torch.float32)[:, None, None].expand(
        -1, side, side
    )


def a_sample(num_samples=3, **fields):
    return dict(
        img_label=flat([10.0, 20.0, 30.0]),
        img_photo=flat([40.0, 50.0, 60.0]),
        fake_photo=flat([0.0, 0.0, 0.0]),
        sample_mean=flat([70.0, 80.0, 90.0]),
        sample_var=flat([100.0] * 3),
        samples=torch.stack([flat([k, k + 1, k + 2.0]) for k in range(num_samples)]),
        **fields,
    )


def cells(picture, rows, columns, cell, top):
    """Center color of each cell of a group's rows, its first row at ``top``."""
    return [
        [
            tuple(
                picture[
                    top + row * (cell + GAP) + cell // 2,
                    GAP + column * (cell + GAP) + cell // 2,
                ]
            )
            for column in range(columns)
        ]
        for row in range(rows)
    ]


def top_of_first_row(picture):
    """The first line whose left cell holds the input's color (30,20,10 in RGB)."""
    return int(np.flatnonzero((picture[:, GAP + 2] == (30, 20, 10)).all(-1))[0])


def test_pictures_stand_in_the_order_of_figure_6():
    predicted = dict(pred_mean=flat([1.0, 2.0, 3.0]), pred_var=flat([400.0] * 3))
    picture = draw({'proxy': [a_sample(**predicted), a_sample()]}, cell=16)
    both = cells(picture, 2, 9, 16, top_of_first_row(picture))
    pred_var, sample_var = (
        tuple(log_dispersion_colors(np.full((3, 1, 1), v))[0, 0])
        for v in (400.0, 100.0)
    )
    assert both[0] == [
        (30, 20, 10),
        (60, 50, 40),
        (3, 2, 1),
        (90, 80, 70),
        pred_var,
        sample_var,
        (2, 1, 0),
        (3, 2, 1),
        (4, 3, 2),
    ]
    # Without a predictor its cells stay empty, and the others keep their places.
    assert both[1][2] == both[1][4] == (235, 235, 235)
    assert both[1][:2] == both[0][:2]
    assert both[1][5:] == both[0][5:]


def test_samples_below_stand_in_rows_of_six_as_in_figures_7_to_10():
    picture = draw({'proxy': [a_sample(8)] * 2}, cell=16, samples_below=True)
    assert picture.shape[1] == GAP + len(HEADINGS) * (16 + GAP)
    left = (picture[:, GAP + 2] == (30, 20, 10)).all(-1)  # the inputs' color
    tops = np.flatnonzero(left & ~np.roll(left, 1))
    assert len(tops) == 2
    for top in tops:
        first, *below = cells(picture, 3, 6, 16, top)
        assert first[:2] == [(30, 20, 10), (60, 50, 40)]
        assert first[3] == (90, 80, 70)
        assert below[0] == [(k + 2, k + 1, k) for k in range(6)]
        assert below[1] == [(8, 7, 6), (9, 8, 7)] + [(255, 255, 255)] * 4


def test_data_elements_arrays_and_tensors_draw_alike():
    fields = a_sample()
    element = BaseDataElement(**fields)
    arrays = {k: v.numpy() for k, v in fields.items()}
    first = draw({'': [fields]}, cell=16)
    np.testing.assert_array_equal(first, draw({'': [element]}, cell=16))
    np.testing.assert_array_equal(first, draw({'': [arrays]}, cell=16))


def test_drawing_changes_nothing():
    fields = a_sample(pred_var=flat([4.0] * 3).clone())
    before = {k: v.clone() for k, v in fields.items()}
    draw({'a': [fields]})
    for name, value in before.items():
        assert torch.equal(fields[name], value)


@pytest.mark.parametrize(
    ('log_var', 'index'),
    [(LOG_RANGE[0], 0), (LOG_RANGE[1], 255), (-3.0, 128), (-9.0, 0), (2.0, 255)],
)
def test_variance_colors_span_the_papers_range(log_var, index):
    var = np.full((3, 2, 2), np.exp(log_var) * 127.5**2)
    np.testing.assert_array_equal(
        log_dispersion_colors(var), np.broadcast_to(color_map()[index], (2, 2, 3))
    )
    unit = var / 255**2
    np.testing.assert_array_equal(
        log_dispersion_colors(unit, value_range=1.0), log_dispersion_colors(var)
    )


def test_a_variance_of_zero_has_the_lowest_color():
    np.testing.assert_array_equal(
        log_dispersion_colors(np.zeros((3, 1, 1)))[0, 0], color_map()[0]
    )


def test_fewer_samples_than_asked_and_more():
    few = draw({'': [a_sample(2)]}, num_samples=4, cell=16)
    assert few.shape[1] == GAP + (len(HEADINGS) + 2) * (16 + GAP)
    many = draw({'': [a_sample(5)]}, num_samples=4, cell=16)
    assert many.shape[1] == GAP + (len(HEADINGS) + 4) * (16 + GAP)


def test_what_no_input_has_takes_no_room():
    new = a_sample()
    del new['img_photo']  # a picture of one's own, without a ground truth
    picture = draw({'': [new]}, cell=16, leave_out=True)
    assert picture.shape[1] == GAP + (3 + 3) * (16 + GAP)
    row = cells(picture, 1, 6, 16, top_of_first_row(picture))[0]
    color = tuple(log_dispersion_colors(np.full((3, 1, 1), 100.0))[0, 0])
    assert row == [(30, 20, 10), (90, 80, 70), color, (2, 1, 0), (3, 2, 1), (4, 3, 2)]
    below = draw({'': [a_sample()]}, cell=16, leave_out=True, samples_below=True)
    first, samples = cells(below, 2, 6, 16, top_of_first_row(below))
    assert first[:3] == [(30, 20, 10), (60, 50, 40), (90, 80, 70)]
    assert first[4:] == [(255, 255, 255)] * 2
    assert samples == [(2, 1, 0), (3, 2, 1), (4, 3, 2)] + [(255, 255, 255)] * 3


def test_a_low_resolution_input_fills_its_cell():
    sample = dict(
        a_sample(),
        input=flat([10.0, 20.0, 30.0], side=2),
        gt_img=flat([40.0, 50.0, 60.0]),
    )
    picture = collage({'': [sample]}, 'input', 'gt_img', cell=16)
    top = top_of_first_row(picture)
    assert (picture[top : top + 16, GAP : GAP + 16] == (30, 20, 10)).all()


def test_values_out_of_range_are_clipped_not_wrapped():
    sample = dict(a_sample(), sample_mean=flat([-5.0, 300.0, 255.4]))
    picture = draw({'': [sample]}, cell=16)
    row = cells(picture, 1, 9, 16, top_of_first_row(picture))[0]
    assert row[3] == (255, 255, 0)


def test_nothing_to_draw_is_an_error():
    with pytest.raises(ValueError, match='every group is empty'):
        draw({'a': []})
    with pytest.raises(ValueError, match=r"no 'samples'.*\['fake_photo'\]"):
        draw({'a': [dict(fake_photo=flat([0.0, 0.0, 0.0]))]})


def test_saving_makes_the_folder(tmp_path):
    from PIL import Image

    picture = draw({'': [a_sample()]}, cell=16)
    save_picture(picture, tmp_path / 'new' / 'a.png')
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / 'new' / 'a.png')), picture
    )


@pytest.mark.parametrize(
    ('count', 'expected'), [(1, [0]), (4, [0, 2, 5, 7]), (20, list(range(10)))]
)
def test_inputs_are_spread_over_the_data(count, expected):
    loader = torch.utils.data.DataLoader(torch.arange(10), batch_size=2)
    assert [batch.item() for batch in spread_inputs(loader, count)] == expected
