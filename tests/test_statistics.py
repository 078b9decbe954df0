"""Statistics: hand-worked values first, then what must hold for any input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.statistics import curves, intervals
from bench.tables.columns import static_seed

unit = st.floats(0, 1, allow_subnormal=False).map(lambda v: round(v, 6))
runs = st.lists(st.tuples(unit, unit), min_size=2, max_size=12).filter(lambda ps: len({x for x, _ in ps}) > 1)


def as_run(points):
    return np.array([x for x, _ in points]), np.array([y for _, y in points])


# --- intervals


def test_t_interval_equals_the_textbook_value():
    # mean .82, s = .02, t(.975, 2) = 4.302653
    mean, low, high = intervals.t_interval(np.array([0.80, 0.82, 0.84]))
    assert mean == pytest.approx(0.82)
    assert high - mean == pytest.approx(4.302653 * 0.02 / np.sqrt(3), abs=1e-6)
    assert mean - low == pytest.approx(high - mean)


def test_t_interval_equals_scipy_for_every_column():
    values = np.random.default_rng(0).normal(size=(5, 4))
    mean, low, high = intervals.t_interval(values)
    expected = stats.t.interval(0.95, 4, loc=values.mean(0), scale=stats.sem(values))
    np.testing.assert_allclose([low, high], expected)
    assert mean.shape == (4,)


def test_one_seed_has_a_mean_and_no_interval():
    mean, low, high = intervals.t_interval(np.array([[0.5, 0.7]]))
    np.testing.assert_array_equal(mean, [0.5, 0.7])
    assert np.isnan(low).all() and np.isnan(high).all()


@given(st.lists(unit, min_size=2, max_size=8), st.randoms())
def test_t_interval_does_not_depend_on_the_order_of_seeds(values, random):
    shuffled = random.sample(values, len(values))
    np.testing.assert_allclose(
        intervals.t_interval(np.array(values)), intervals.t_interval(np.array(shuffled)), atol=1e-12
    )


# --- curves


def test_points_of_equal_x_merge_to_their_mean():
    x, y = curves.merge_equal_x(np.array([0.5, 0.2, 0.5]), np.array([0.9, 0.6, 0.7]))
    np.testing.assert_allclose(x, [0.2, 0.5])
    np.testing.assert_allclose(y, [0.6, 0.8])


def test_interpolation_is_linear_inside_and_nan_outside():
    got = curves.interpolate(np.array([0.1, 0.2, 0.35, 0.5, 0.50001]), np.array([0.5, 0.2]), np.array([0.9, 0.6]))
    np.testing.assert_allclose(got, [np.nan, 0.6, 0.75, 0.9, np.nan])


def test_interpolation_of_many_runs_is_that_of_each():
    rng = np.random.default_rng(0)
    x, y, grid = np.round(rng.random((5, 7)), 1), rng.random((5, 7)), np.linspace(0, 1, 11)
    np.testing.assert_array_equal(
        curves.interpolate(grid, x, y), [curves.interpolate(grid, *run) for run in zip(x, y, strict=True)]
    )
    assert curves.interpolate(np.array([]), x, y).shape == (5, 0)


def test_a_rounding_error_at_the_end_is_not_outside():
    assert curves.interpolate(np.array([1 + 1e-13]), np.array([0.5, 1.0]), np.array([0.7, 0.9])) == pytest.approx(0.9)


@given(runs)
def test_interpolation_stays_within_the_hull(points):
    x, y = as_run(points)
    grid = np.linspace(-0.5, 1.5, 81)
    got = curves.interpolate(grid, x, y)
    inside = np.isfinite(got)
    assert (got[inside] >= y.min() - 1e-12).all() and (got[inside] <= y.max() + 1e-12).all()
    assert not inside[(grid < x.min() - 1e-9) | (grid > x.max() + 1e-9)].any()


def test_gap_mask_marks_the_inside_of_wide_gaps_only():
    grid = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 0.9, 1.0])
    mask = curves.gap_mask(grid, np.array([0.1, 0.2, 0.5, 0.75]), widest=0.25)
    assert grid[mask].tolist() == [0.3, 0.4]  # .5 to .75 is exactly as wide as allowed; nothing beyond the ends


def test_mean_curve_by_hand():
    grid = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    one = (np.array([0.25, 0.75]), np.array([0.6, 0.8]))
    two = (np.array([0.5, 1.0]), np.array([0.9, 1.0]))
    mean, low, high, seeds, dotted = curves.mean_curve(grid, [one, two], widest=0.25)
    np.testing.assert_allclose(mean, [np.nan, 0.6, 0.8, 0.875, 1.0])
    assert seeds.tolist() == [0, 1, 2, 2, 1]
    assert np.isfinite(low).tolist() == np.isfinite(high).tolist() == [False, False, True, True, False]
    assert dotted.tolist() == [False, False, True, True, False]
    half = stats.t.ppf(0.975, 1) * np.std([0.8, 0.95], ddof=1) / np.sqrt(2)
    assert (low[3], high[3]) == pytest.approx((0.875 - half, 0.875 + half))


def test_mean_curve_of_one_seed_has_no_band():
    mean, low, high, seeds, _ = curves.mean_curve(np.array([0.5]), [(np.array([0.0, 1.0]), np.array([0.0, 1.0]))], 0.25)
    assert mean == pytest.approx(0.5) and seeds == 1 and np.isnan(low) and np.isnan(high)


# --- equal cost


def test_nearest_in_x_takes_the_cheaper_of_two_equally_near():
    assert curves.nearest_in_x(np.array([0.5, 0.0, 0.95]), np.array([0.6, 0.4, 1.0])).tolist() == [1, 1, 2]


def test_prunable_layers_counts_what_no_seed_uses():
    assert curves.prunable_layers(np.array([[9, 4, 0, 0], [9, 0, 0, 0]])) == 2
    assert curves.prunable_layers(np.array([[9, 4, 0, 1], [9, 4, 0, 0]])) == 0


def test_whose_static_model_a_run_is_compared_with():
    full = {"static": [0, 1], "dact": [0, 1], "pabee": [0, 1, 2]}
    assert [static_seed(full, seed) for seed in (0, 1, 2)] == [0, 1, 2]
    heads = {"static": [0], "dact": [0, 1], "pabee": [0, 1]}
    assert [static_seed(heads, seed) for seed in (0, 1)] == [0, 0]
    # trained for another seed than static: no reason to compare them
    assert static_seed({"static": [0], "dact": [0], "pabee": [0, 1]}, 1) == 1
