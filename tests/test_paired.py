"""Paired comparisons: textbook values, invariants, and coverage and level by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.statistics import significance as P
from bench.statistics.intervals import percentile_interval, resamples, t_interval

N = 277  # RTE's validation set, the smallest of the paper
SEEDS = (3, 5, 10)


def test_t_test_equals_scipy():
    a, b = np.random.default_rng(0).normal(size=(2, 6, 4))
    np.testing.assert_allclose(P.t_test(a - b), stats.ttest_rel(a, b).pvalue)


def test_t_test_by_hand():
    # differences .01, .02, .03: mean .02, s = .01, t = 2 sqrt 3 = 3.4641, p(df 2) = .0742
    assert P.t_test(np.array([0.01, 0.02, 0.03])) == pytest.approx(0.0742, abs=1e-4)


def test_units_without_spread():
    equal = np.array([0.1, 0.2, 0.3]) + 1e-17 - np.array([0.1, 0.2, 0.3])
    assert P.t_test(equal) == 1 and P.t_test(np.full(3, 0.25)) == 0
    assert np.isnan(P.t_test(np.array([0.1]))) and np.isnan(P.detectable(np.array([0.1])))


def test_detectable_difference_is_found_four_times_in_five():
    for units in SEEDS:
        rng = np.random.default_rng(units)
        noise = rng.normal(size=(units, 40_000))
        one_sd = np.array([-1, 1, *[0] * (units - 2)]) / np.sqrt(2 / (units - 1))  # units with s = 1
        found = P.t_test(noise + P.detectable(one_sd)) < 0.05
        assert found.mean() == pytest.approx(0.8, abs=0.01)


def test_holm_by_hand():
    # sorted .01, .03, .04 times 3, 2, 1: .03, .06, .04 -> .06
    np.testing.assert_allclose(P.holm(np.array([0.01, 0.04, np.nan, 0.03])), [0.03, 0.06, np.nan, 0.06])
    assert P.holm(np.array([])).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(values):
    p = np.array(values)
    adjusted = P.holm(p)
    assert (adjusted >= p).all() and (adjusted <= np.minimum(1, len(p) * p) + 1e-12).all()
    order = np.argsort(p)
    assert (np.diff(adjusted[order]) >= 0).all()


def test_the_percentile_interval_leaves_half_of_the_rest_on_each_side():
    draws = np.arange(1001.0)  # the q quantile is 1000 q
    assert percentile_interval(draws) == pytest.approx((25, 975))


def test_bootstrap_test_by_hand():
    draws = np.array([0.3, 0.1, 0.2, -0.1] + [0.2] * 15)
    assert P.bootstrap_test(draws) == pytest.approx(2 * 2 / 20)  # one of 19 is not above zero, plus one
    assert P.bootstrap_test(np.zeros(19)) == 1
    assert P.bootstrap_test(np.array([0.1, np.nan]) * np.ones((4, 1))).tolist()[0] == pytest.approx(0.4)


# --- coverage: seeds whose true accuracy varies by 2 points, measured on 277 examples


def measured(rng, seeds, simulations, effect=0.02, accuracy=0.66):
    """Accuracies [seeds, simulations] of models with seed effects, each measured on N examples."""
    chance = np.clip(accuracy + effect * rng.normal(size=(seeds, simulations)), 0, 1)
    return rng.binomial(N, chance) / N


@pytest.mark.parametrize("seeds", SEEDS)
def test_t_interval_covers_the_mean(seeds):
    _, low, high = t_interval(measured(np.random.default_rng(seeds), seeds, 20_000))
    assert 0.93 <= ((low <= 0.66) & (high >= 0.66)).mean() <= 0.97


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("effect", [0.0, 0.005, 0.02])
def test_paired_t_test_holds_its_level(seeds, effect):
    rng = np.random.default_rng(seeds)
    # both methods start from the same model of a seed: part of the effect is common and cancels
    common = 0.02 * rng.normal(size=(seeds, 20_000))
    a, b = (measured(rng, seeds, 20_000, effect, 0.66 + common) for _ in range(2))
    assert 0.035 <= (P.t_test(a - b) < 0.05).mean() <= 0.06


def test_bootstrap_over_examples_covers_and_holds_its_level():
    rng, simulations, seeds = np.random.default_rng(0), 1500, 3
    # trained models as they are: each example has a chance of being right that both methods share
    hardness = rng.normal(0.7, 1.0, size=(N, simulations))
    right = [[hardness + rng.logistic(size=hardness.shape) > 0 for _ in range(seeds)] for _ in "ab"]
    contributions = np.mean(right[0], axis=0) - np.mean(right[1], axis=0)  # [n, simulations]
    (weights,) = resamples(N, 1000, seed=0, block=1000)
    draws = weights @ contributions / N
    low, high = percentile_interval(draws)
    assert 0.93 <= ((low <= 0) & (high >= 0)).mean() <= 0.97
    assert 0.03 <= (P.bootstrap_test(draws) < 0.05).mean() <= 0.07


def test_a_percentile_bootstrap_over_three_seeds_would_not_cover():
    """Why intervals over seeds are t-intervals."""
    values = measured(np.random.default_rng(0), 3, 4000)
    drawn = values[np.random.default_rng(1).integers(3, size=(500, 3))].mean(axis=1)  # [D, simulations]
    low, high = percentile_interval(drawn)
    assert ((low <= 0.66) & (high >= 0.66)).mean() < 0.8
