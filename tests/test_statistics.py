"""Statistics: hand-worked values first, then what must hold for any input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench import statistics as S

unit = st.floats(0, 1, allow_subnormal=False).map(lambda v: round(v, 6))
runs = st.lists(st.tuples(unit, unit), min_size=2, max_size=12).filter(lambda ps: len({x for x, _ in ps}) > 1)


def as_run(points):
    return np.array([x for x, _ in points]), np.array([y for _, y in points])


# --- intervals


def test_t_interval_equals_the_textbook_value():
    # mean .82, s = .02, t(.975, 2) = 4.302653
    mean, low, high = S.t_interval(np.array([0.80, 0.82, 0.84]))
    assert mean == pytest.approx(0.82)
    assert high - mean == pytest.approx(4.302653 * 0.02 / np.sqrt(3), abs=1e-6)
    assert mean - low == pytest.approx(high - mean)


def test_t_interval_equals_scipy_for_every_column_and_level():
    values = np.random.default_rng(0).normal(size=(5, 4))
    mean, low, high = S.t_interval(values, confidence=0.9)
    expected = stats.t.interval(0.9, 4, loc=values.mean(0), scale=stats.sem(values))
    np.testing.assert_allclose([low, high], expected)
    assert mean.shape == (4,)


def test_one_seed_has_a_mean_and_no_interval():
    mean, low, high = S.t_interval(np.array([[0.5, 0.7]]))
    np.testing.assert_array_equal(mean, [0.5, 0.7])
    assert np.isnan(low).all() and np.isnan(high).all()


@given(st.lists(unit, min_size=2, max_size=8), st.randoms())
def test_t_interval_does_not_depend_on_the_order_of_seeds(values, random):
    shuffled = random.sample(values, len(values))
    np.testing.assert_allclose(S.t_interval(np.array(values)), S.t_interval(np.array(shuffled)), atol=1e-12)


# --- curves


def test_points_of_equal_x_merge_to_their_mean():
    x, y = S.merge_equal_x(np.array([0.5, 0.2, 0.5]), np.array([0.9, 0.6, 0.7]))
    np.testing.assert_allclose(x, [0.2, 0.5])
    np.testing.assert_allclose(y, [0.6, 0.8])


def test_interpolation_is_linear_inside_and_nan_outside():
    got = S.interpolate(np.array([0.1, 0.2, 0.35, 0.5, 0.50001]), np.array([0.5, 0.2]), np.array([0.9, 0.6]))
    np.testing.assert_allclose(got, [np.nan, 0.6, 0.75, 0.9, np.nan])


def test_a_rounding_error_at_the_end_is_not_outside():
    assert S.interpolate(np.array([1 + 1e-13]), np.array([0.5, 1.0]), np.array([0.7, 0.9])) == pytest.approx(0.9)


@given(runs)
def test_interpolation_stays_within_the_hull(points):
    x, y = as_run(points)
    grid = np.linspace(-0.5, 1.5, 81)
    got = S.interpolate(grid, x, y)
    inside = np.isfinite(got)
    assert (got[inside] >= y.min() - 1e-12).all() and (got[inside] <= y.max() + 1e-12).all()
    assert not inside[(grid < x.min() - 1e-9) | (grid > x.max() + 1e-9)].any()


def test_gap_mask_marks_the_inside_of_wide_gaps_only():
    grid = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 0.9, 1.0])
    mask = S.gap_mask(grid, np.array([0.1, 0.2, 0.5, 0.75]), widest=0.25)
    assert grid[mask].tolist() == [0.3, 0.4]  # .5 to .75 is exactly as wide as allowed; nothing beyond the ends


def test_mean_curve_by_hand():
    grid = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    one = (np.array([0.25, 0.75]), np.array([0.6, 0.8]))
    two = (np.array([0.5, 1.0]), np.array([0.9, 1.0]))
    mean, low, high, seeds, dotted = S.mean_curve(grid, [one, two], widest=0.25)
    np.testing.assert_allclose(mean, [np.nan, 0.6, 0.8, 0.875, 1.0])
    assert seeds.tolist() == [0, 1, 2, 2, 1]
    assert np.isfinite(low).tolist() == np.isfinite(high).tolist() == [False, False, True, True, False]
    assert dotted.tolist() == [False, False, True, True, False]
    half = stats.t.ppf(0.975, 1) * np.std([0.8, 0.95], ddof=1) / np.sqrt(2)
    assert (low[3], high[3]) == pytest.approx((0.875 - half, 0.875 + half))


def test_mean_curve_of_one_seed_has_no_band():
    mean, low, high, seeds, _ = S.mean_curve(np.array([0.5]), [(np.array([0.0, 1.0]), np.array([0.0, 1.0]))], 0.25)
    assert mean == pytest.approx(0.5) and seeds == 1 and np.isnan(low) and np.isnan(high)


# --- areas


def test_common_range_is_the_intersection():
    a, b, c = (np.array([0.2, 0.9]),) * 2, (np.array([0.3, 1.0]),) * 2, (np.array([0.1, 0.8]),) * 2
    assert S.common_range([[a, b], [c]]) == (0.3, 0.8)


def test_widest_gap_counts_the_whole_segment():
    x = np.array([0.9, 0.1, 0.3, 0.4])
    assert S.widest_gap(x, 0.1, 0.4) == pytest.approx(0.2)
    assert S.widest_gap(x, 0.5, 0.6) == pytest.approx(0.5)
    assert np.isnan(S.widest_gap(x, 0.9, 1.0))


def test_auc_common_by_hand():
    # tent 0 -> 1 -> 0 with its top at .5: over [.25, .75] the mean height is .75, over [.25, .5] also .75
    tent = (np.array([0.0, 1.0, 0.5]), np.array([0.0, 0.0, 1.0]))
    assert S.auc_common([tent], 0.25, 0.75) == pytest.approx([0.75])
    assert S.auc_common([tent], 0.25, 0.5) == pytest.approx([0.75])
    assert S.auc_common([tent], 0.0, 1.0) == pytest.approx([0.5])


def test_auc_common_never_extrapolates():
    short, full = (np.array([0.5, 1.0]), np.ones(2)), (np.array([0.0, 1.0]), np.ones(2))
    np.testing.assert_allclose(S.auc_common([short, full], 0.25, 0.75), [np.nan, 1.0])
    assert np.isnan(S.auc_common([full], 0.7, 0.6)).all()


@given(runs, unit)
def test_auc_of_a_constant_curve_is_the_constant(points, height):
    x, _ = as_run(points)
    assert S.auc_common([(x, np.full(len(x), height))], x.min(), x.max()) == pytest.approx([height], abs=1e-9)


@given(runs, st.randoms())
def test_auc_common_does_not_depend_on_the_order_of_points(points, random):
    x, y = as_run(points)
    other = as_run(random.sample(points, len(points)))
    np.testing.assert_allclose(
        S.auc_common([(x, y)], x.min(), x.max()), S.auc_common([other], x.min(), x.max()), atol=1e-12
    )


def test_auc_budget_by_hand():
    # L = 4. Chosen on A: nothing fits b = .25 (constant on B: .5); b = .5: .6 -> B .65; b = .75: .9 -> B .80; b = 1:
    # the same (equal value, cheaper). Chosen on B: the first point costs .25 there; the dearest, .85, wins at b = 1.
    x_a, y_a = np.array([0.5, 0.75, 1.0]), np.array([0.6, 0.9, 0.9])
    x_b, y_b = np.array([0.25, 0.75, 1.0]), np.array([0.65, 0.80, 0.85])
    on_a, on_b = [0.5, 0.65, 0.80, 0.80], [0.6, 0.6, 0.9, 0.9]
    got = S.auc_budget(x_a, y_a, x_b, y_b, 0.4, 0.5, num_layers=4)
    assert got == pytest.approx(np.mean([on_a, on_b]))
    got = S.auc_budget(x_a, y_a, x_b, y_b, 0.4, 0.5, num_layers=4, limit=0.5)
    assert got == pytest.approx(np.mean([on_a[:2], on_b[:2]]))


def test_auc_budget_without_a_point_that_fits_is_the_constant_label():
    assert S.auc_budget([1.0], [0.9], [1.0], [0.9], 0.4, 0.6, num_layers=12, limit=0.5) == pytest.approx(0.5)


def test_auc_budget_admits_a_cost_equal_to_the_budget():
    x = np.array([0.1 + 0.2])  # .30000000000000004
    assert S.auc_budget(x, [1.0], x, [1.0], 0.0, 0.0, num_layers=10) == pytest.approx(0.8)


@given(runs, st.integers(2, 24))
def test_auc_budget_grows_with_the_limit_when_both_halves_agree(points, num_layers):
    x, y = as_run(points)
    half, whole = (S.auc_budget(x, y, x, y, 0.0, 0.0, num_layers, limit) for limit in (0.5, 1.0))
    assert half <= whole + 1e-12
    cheaper = S.auc_budget(x / 2, y, x / 2, y, 0.0, 0.0, num_layers)
    assert cheaper >= whole - 1e-12  # the same answers for less


@given(runs, st.randoms())
def test_auc_budget_swaps_and_permutes(points, random):
    x, y = as_run(points)
    y_b = np.roll(y, 1)
    order = random.sample(range(len(x)), len(x))
    value = S.auc_budget(x, y, x, y_b, 0.1, 0.2, 12)
    assert S.auc_budget(x, y_b, x, y, 0.2, 0.1, 12) == pytest.approx(value)
    distinct = len({*zip(x, y, strict=True)}) == len(x) and len({*zip(x, y_b, strict=True)}) == len(x)
    if distinct:  # twins in cost and value on the choosing half are told apart by position only
        assert S.auc_budget(x[order], y[order], x[order], y_b[order], 0.1, 0.2, 12) == pytest.approx(value)


def test_halves_are_splitmix64_of_the_index():
    # first outputs of the reference generator: seed 0 -> e220a8397b1dcdaf, seed 1234567 -> 6457827717110365317
    assert S.halves(np.array([0, 1234567])).tolist() == [True, False]


def test_halves_are_near_equal_and_do_not_follow_the_order():
    index = np.arange(20_000)
    half = S.halves(index)
    assert abs(half.mean() - 0.5) < 0.02
    assert abs(np.corrcoef(half[:-1], half[1:])[0, 1]) < 0.03
    assert (S.halves(index[::-1]) == half[::-1]).all()


# --- equal cost


def test_nearest_in_x_takes_the_cheaper_of_two_equally_near():
    assert S.nearest_in_x(np.array([0.5, 0.0, 0.95]), np.array([0.6, 0.4, 1.0])).tolist() == [1, 1, 2]


def test_prunable_layers_counts_what_no_seed_uses():
    assert S.prunable_layers(np.array([[9, 4, 0, 0], [9, 0, 0, 0]])) == 2
    assert S.prunable_layers(np.array([[9, 4, 0, 1], [9, 4, 0, 0]])) == 0
