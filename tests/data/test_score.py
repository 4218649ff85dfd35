"""The demo's scores against hand numbers and a perfect sampler."""

import numpy as np
import pytest

from mmagic_mr.data.synthetic.scenes import Truth, scene_labels, scene_truth, take_photo
from mmagic_mr.data.synthetic.score import covered_modes, ideal_samples, score


def four_modes(*values):
    """A one-pixel scene with modes of one gray each and hardly any noise."""
    modes = np.asarray(values, dtype=float)[:, None, None, None].repeat(3, 1)
    return Truth(modes, modes.mean(0), modes.var(0))


def grays(*values):
    return np.asarray(values, dtype=float)[:, None, None, None].repeat(3, 1)


TRUTH = four_modes(0, 10, 20, 40)  # mean 17.5, variance 218.75


@pytest.mark.parametrize(
    ('samples', 'share'),
    [
        ((0, 10, 20, 40), 1.0),
        ((0, 0, 0, 0), 0.25),
        ((4.9, 10, 10), 0.5),  # nearer than half-way to the next mode
        ((5.1, 10, 10), 0.25),  # the other side of half-way counts for 10
        ((29, 49), 0.25),  # 20's next mode is 10 away, 40's is 20: only 49 counts
        ((26, 26), 0.0),  # nearest 20, but farther than half-way from 20 to 10
        ((51, 51), 0.0),
    ],
)
def test_modes_covered(samples, share):
    assert covered_modes(grays(*samples), TRUTH)[0] == share


def test_distance_from_the_nearest_mode():
    assert covered_modes(grays(1, 13, 40), TRUTH)[1] == pytest.approx(4 / 3)


def test_scores_by_hand():
    result = score(
        [grays(10, 20)],
        [TRUTH],
        [grays(17.5 + 3)[0]],
        [np.full((3, 1, 1), 218.75 * 0.9)],
    )
    sigma = np.sqrt(218.75)
    assert result == pytest.approx(
        dict(
            std_ratio=np.sqrt(50) / sigma,
            mean_error=2.5 / sigma,
            modes=0.5,
            off_mode=0.0,
            pred_mean_error=3 / sigma,
            pred_var_error=0.1,
        )
    )


def test_errors_of_means_in_units_of_the_overall_deviation():
    truth = Truth(
        np.zeros((1, 3, 1, 2)),
        np.zeros((3, 1, 2)),
        np.array([1.0, 7.0])[None, None].repeat(3, 0),
    )
    samples = np.array([[2.0, 2.0], [0.0, 2.0]])[:, None, None].repeat(3, 1)
    pooled = score([samples], [truth], per_pixel=False)['mean_error']
    assert pooled == pytest.approx(np.sqrt((1 + 4) / 2 / 4))
    assert score([samples], [truth])['mean_error'] == pytest.approx(
        np.sqrt((1 / 1 + 4 / 7) / 2)
    )


def test_scores_do_not_depend_on_the_order_of_samples_or_the_unit():
    truth, rng = scene_truth(scene_labels(1)), np.random.default_rng(0)
    samples = rng.random((6, 3, 32, 32))
    first = score([samples], [truth])
    assert score([samples[::-1]], [truth]) == pytest.approx(first)
    scaled = Truth(truth.modes * 255, truth.mean * 255, truth.var * 255**2)
    assert score([samples * 255], [scaled]) == pytest.approx(first)


def test_a_perfect_sampler_scores_as_theory_says():
    labels = [scene_labels(i) for i in range(60)]
    truths, count = [scene_truth(la).bgr255() for la in labels], 16

    def draw(la):
        return lambda rng: take_photo(la, rng.integers(4), rng)

    result = score(
        [ideal_samples(draw(la), count, i) for i, la in enumerate(labels)], truths
    )
    # Unbiased variance; standard error of a mean of 16; (3/4)^16 of the modes missed.
    assert result['std_ratio'] == pytest.approx(1.0, abs=0.05)
    assert result['mean_error'] == pytest.approx(1 / np.sqrt(count), rel=0.1)
    assert result['modes'] == pytest.approx(1 - 0.75**count, abs=0.02)
    assert result['off_mode'] < 0.05


def test_the_mean_picture_covers_no_mode():
    truths = [scene_truth(scene_labels(i)) for i in range(60)]
    assert score([t.mean[None].repeat(4, 0) for t in truths], truths)['modes'] < 0.05
