"""Areas under curves: hand-worked values first, then what must hold for any input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.statistics import areas as A
from bench.statistics.curves import interpolate

unit = st.floats(0, 1, allow_subnormal=False).map(lambda v: round(v, 6))
runs = st.lists(st.tuples(unit, unit), min_size=2, max_size=12).filter(lambda ps: len({x for x, _ in ps}) > 1)


def as_run(points):
    return np.array([x for x, _ in points]), np.array([y for _, y in points])


def test_widest_gap_counts_the_whole_segment():
    x = np.array([0.9, 0.1, 0.3, 0.4])
    assert A.widest_gap(x, 0.1, 0.4) == pytest.approx(0.2)
    assert A.widest_gap(x, 0.5, 0.6) == pytest.approx(0.5)
    assert np.isnan(A.widest_gap(x, 0.9, 1.0))


def test_auc_common_by_hand():
    # tent 0 -> 1 -> 0 with its top at .5: over [.25, .75] the mean height is .75, over [.25, .5] also .75
    tent = (np.array([0.0, 1.0, 0.5]), np.array([0.0, 0.0, 1.0]))
    assert A.auc_common(*tent, 0.25, 0.75) == pytest.approx(0.75)
    assert A.auc_common(*tent, 0.25, 0.5) == pytest.approx(0.75)
    assert A.auc_common(*tent, 0.0, 1.0) == pytest.approx(0.5)


def test_auc_common_gives_points_of_equal_x_their_mean():
    x, y = np.array([0.0, 1.0, 1.0]), np.array([0.0, 0.2, 0.6])
    assert A.auc_common(x, y, 0.0, 1.0) == pytest.approx(0.2)


def test_auc_common_never_extrapolates():
    x = np.array([[0.5, 1.0], [0.0, 1.0], [0.0, 1.0]])
    got = A.auc_common(x, np.ones((3, 2)), np.array([0.25, 0.25, 0.7]), np.array([0.75, 0.75, 0.6]))
    np.testing.assert_allclose(got, [np.nan, 1.0, np.nan])
    assert np.isnan(A.auc_common(x, np.ones((3, 2)), np.nan, np.nan)).all()


def test_auc_common_is_the_mean_of_the_interpolated_curve():
    rng = np.random.default_rng(0)
    x, y = np.round(rng.random((5, 9)), 1), rng.random((5, 9))  # ties among the x
    low, high = x.min(axis=1).max(), x.max(axis=1).min()
    middles = low + (high - low) * (np.arange(20_000) + 0.5) / 20_000
    np.testing.assert_allclose(A.auc_common(x, y, low, high), interpolate(middles, x, y).mean(axis=1), atol=1e-6)


@given(runs, unit)
def test_auc_of_a_constant_curve_is_the_constant(points, height):
    x, _ = as_run(points)
    assert A.auc_common(x, np.full(len(x), height), x.min(), x.max()) == pytest.approx(height, abs=1e-9)


@given(runs, st.randoms())
def test_auc_common_does_not_depend_on_the_order_of_points(points, random):
    x, y = as_run(points)
    other = as_run(random.sample(points, len(points)))
    np.testing.assert_allclose(A.auc_common(x, y, x.min(), x.max()), A.auc_common(*other, x.min(), x.max()), atol=1e-12)


def area_of_budgets(x_a, y_a, x_b, y_b, constant_a, constant_b, num_layers, limit=1.0):
    a, b = (np.append(0, x_a), np.append(constant_a, y_a)), (np.append(0, x_b), np.append(constant_b, y_b))
    budgets = A.every_budget(num_layers)
    return A.auc_budget((A.spend(*a, *b, budgets)[0] + A.spend(*b, *a, budgets)[0]) / 2, limit)


def test_auc_budget_by_hand():
    # L = 4. Chosen on A: nothing fits b = .25 (constant on B: .5); b = .5: .6 -> B .65; b = .75: .9 -> B .80; b = 1:
    # the same (equal value, cheaper). Chosen on B: the first point costs .25 there; the dearest, .85, wins at b = 1.
    x_a, y_a = np.array([0.5, 0.75, 1.0]), np.array([0.6, 0.9, 0.9])
    x_b, y_b = np.array([0.25, 0.75, 1.0]), np.array([0.65, 0.80, 0.85])
    on_a, on_b = [0.5, 0.65, 0.80, 0.80], [0.6, 0.6, 0.9, 0.9]
    got = area_of_budgets(x_a, y_a, x_b, y_b, 0.4, 0.5, num_layers=4)
    assert got == pytest.approx(np.mean([on_a, on_b]))
    got = area_of_budgets(x_a, y_a, x_b, y_b, 0.4, 0.5, num_layers=4, limit=0.5)
    assert got == pytest.approx(np.mean([on_a[:2], on_b[:2]]))


def test_a_missing_point_does_not_beat_a_bad_one():
    """A method whose cheap points are worse than the constant answer keeps to that one, as one without points does."""
    bad = area_of_budgets([0.1, 1.0], [0.1, 0.9], [0.1, 1.0], [0.1, 0.9], 0.5, 0.5, num_layers=10, limit=0.5)
    none = area_of_budgets([1.0], [0.9], [1.0], [0.9], 0.5, 0.5, num_layers=10, limit=0.5)
    assert bad == none == pytest.approx(0.5)


def test_auc_budget_without_a_point_that_fits_is_the_constant_label():
    assert area_of_budgets([1.0], [0.9], [1.0], [0.9], 0.4, 0.6, num_layers=12, limit=0.5) == pytest.approx(0.5)


def test_auc_budget_admits_a_cost_equal_to_the_budget():
    x = np.array([0.1 + 0.2])  # .30000000000000004
    assert area_of_budgets(x, [1.0], x, [1.0], 0.0, 0.0, num_layers=10) == pytest.approx(0.8)


@given(runs, st.integers(2, 24))
def test_auc_budget_grows_with_the_limit_when_both_halves_agree(points, num_layers):
    x, y = as_run(points)
    half, whole = (area_of_budgets(x, y, x, y, 0.0, 0.0, num_layers=num_layers, limit=limit) for limit in (0.5, 1.0))
    assert half <= whole + 1e-12
    cheaper = area_of_budgets(x / 2, y, x / 2, y, 0.0, 0.0, num_layers=num_layers)
    assert cheaper >= whole - 1e-12  # the same answers for less


@given(runs, st.randoms())
def test_auc_budget_swaps_and_permutes(points, random):
    x, y = as_run(points)
    y_b = np.roll(y, 1)
    order = random.sample(range(len(x)), len(x))
    value = area_of_budgets(x, y, x, y_b, 0.1, 0.2, num_layers=12)
    assert area_of_budgets(x, y_b, x, y, 0.2, 0.1, num_layers=12) == pytest.approx(value)
    distinct = len({*zip(x, y, strict=True)}) == len(x) and len({*zip(x, y_b, strict=True)}) == len(x)
    if distinct:  # twins in cost and value on the choosing half are told apart by position only
        assert area_of_budgets(x[order], y[order], x[order], y_b[order], 0.1, 0.2, num_layers=12) == pytest.approx(
            value
        )


def test_halves_are_splitmix64_of_the_index():
    # first outputs of the reference generator: seed 0 -> e220a8397b1dcdaf, seed 1234567 -> 6457827717110365317
    assert A.halves(np.array([0, 1234567])).tolist() == [True, False]


def test_halves_are_near_equal_and_do_not_follow_the_order():
    index = np.arange(20_000)
    half = A.halves(index)
    assert abs(half.mean() - 0.5) < 0.02
    assert abs(np.corrcoef(half[:-1], half[1:])[0, 1]) < 0.03
    assert (A.halves(index[::-1]) == half[::-1]).all()
