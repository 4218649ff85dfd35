"""Intervals that cover the truth as often as they say."""

import numpy as np

from mmagic_mr.metrics.functional.bootstrap import bootstrap_interval


def test_bootstrap_covers_at_its_level():
    """Means of 40 normal values: the interval holds the truth about 95% of the time."""
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        low, high = bootstrap_interval(rng.normal(1, 2, 40), seed=trial, resamples=400)
        hits += low < 1 < high
    assert 0.89 < hits / 200 < 0.985
    assert bootstrap_interval([1, 5], seed=3) == bootstrap_interval([1, 5], seed=3)
    assert all(np.isnan(bootstrap_interval([1.0])))


def test_statistic_of_rows_with_several_values():
    """A ratio of means over inputs: by hand, with the same resampled rows."""
    values = np.random.default_rng(0).gamma(2, size=(30, 2))

    def ratio(rows):
        assert rows.shape[1:] == (30, 2)
        a, b = rows.mean(1).T
        return a / b

    low, high = bootstrap_interval(values, resamples=4000, statistic=ratio)
    rows = values[np.random.default_rng(1).integers(0, 30, (20_000, 30))]
    expected = np.quantile(rows[..., 0].mean(1) / rows[..., 1].mean(1), [0.025, 0.975])
    np.testing.assert_allclose((low, high), expected, atol=0.03)


def test_every_column_has_an_interval_of_its_own():
    values = np.random.default_rng(0).normal([0, 5], 1, (50, 2))
    low, high = bootstrap_interval(values)
    assert low.shape == high.shape == (2,)
    assert (low < values.mean(0)).all()
    assert (values.mean(0) < high).all()


def test_interval_of_means_against_resampling_by_counts():
    """How often each row is drawn is multinomial: another way to the same interval."""
    rng = np.random.default_rng(1)
    values = np.random.default_rng(0).gamma(2, size=(25, 3))
    counts = rng.multinomial(25, [1 / 25] * 25, 20_000)
    expected = np.percentile(counts @ values / 25, [2.5, 97.5], axis=0)
    found = bootstrap_interval(values, resamples=20_000)
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_nothing_is_known_where_the_statistic_is_not():
    low, high = bootstrap_interval(
        [1.0, 2.0], statistic=lambda rows: rows[:, 0] * np.nan
    )
    assert np.isnan(low)
    assert np.isnan(high)
