"""Mixtures of two operating points: by hand, then what must hold for any points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.sources.tasks import TASKS
from bench.statistics.metrics import evaluate_predictions, metric_of_counts, weighted_counts
from bench.statistics.mixing import envelope, spend_exactly

unit = st.floats(0, 1).map(lambda v: round(v, 3))
points = st.lists(st.tuples(unit, unit), min_size=1, max_size=9)


def test_by_hand():
    # the constant (0, .5); (.5, .6) lies below the chord to (.6, .9); (.9, .8) is beaten by (.6, .9)
    x, y = np.array([0, 0.5, 0.6, 0.9]), np.array([0.5, 0.6, 0.9, 0.8])
    assert envelope(x, y).tolist() == [0, 2]
    mixture = spend_exactly(x, y, np.array([0.3, 0.6, 1.0]))
    assert mixture.of(y) == pytest.approx([0.7, 0.9, 0.9]) and mixture.of(x) == pytest.approx([0.3, 0.6, 0.6])


def test_where_nothing_beats_the_constant_it_is_kept():
    assert envelope(np.array([0, 0.2, 0.9]), np.array([0.5, 0.4, 0.5])).tolist() == [0]


@given(points)
def test_the_envelope_is_above_all_points_and_rises(found):
    x, y = np.array([0.0, *(p[0] for p in found)]), np.array([0.3, *(p[1] for p in found)])
    budgets = np.linspace(0, 1, 21)
    mixture = spend_exactly(x, y, budgets)
    heights = mixture.of(y)
    assert (np.diff(heights) >= -1e-9).all()
    assert (np.diff(heights, 2) <= 1e-9).all(), "concave"
    assert (mixture.of(x) <= budgets + 1e-9).all()
    for cost, value in zip(x, y, strict=True):
        assert spend_exactly(x, y, np.array([cost])).of(y)[0] >= value - 1e-9


def test_all_runs_at_once_are_each_run_alone():
    rng = np.random.default_rng(0)
    x, y = np.concatenate([np.zeros((6, 1)), rng.random((6, 12))], axis=1), rng.random((6, 13))
    budgets = np.arange(1, 13) / 12
    together = spend_exactly(x, y, budgets).of(y)
    for row in range(6):
        np.testing.assert_allclose(together[row], spend_exactly(x[row], y[row], budgets).of(y[row]))


@pytest.mark.parametrize("thinned", [5, 20])
def test_thinning_a_flat_curve_costs_next_to_nothing(thinned):
    """400 points of one curve or a few of them: the step area loses .03 at 5 points, the mixed area .002 at most."""
    x = np.linspace(1 / 12, 1, 400)
    y = 0.6 + 0.3 * x - 0.05 * x**2  # nearly straight
    budgets = np.arange(1, 13) / 12

    def area(keep):
        both = np.concatenate([[0], x[keep]]), np.concatenate([[0.5], y[keep]])
        return spend_exactly(*both, budgets).of(both[1]).mean()

    few = np.linspace(0, 399, thinned).round().astype(int)
    assert abs(area(np.arange(400)) - area(few)) < 0.002


@pytest.mark.parametrize("task", ["rte", "mrpc", "cola", "mnli", "stsb"])
def test_mixed_counts_are_those_of_dealt_examples(task):
    """Half of the weight at each of two settings is what the metric says about examples that stand there twice."""
    rng, task = np.random.default_rng(1), TASKS[task]
    if task.regression:
        labels, predictions = rng.normal(size=30), rng.normal(size=(2, 30))
    else:
        labels, predictions = rng.integers(task.num_labels, size=30), rng.integers(task.num_labels, size=(2, 30))
    (low, high) = weighted_counts(task, labels, predictions, np.ones((1, 30)))[0]
    got = metric_of_counts(task, (low + high) / 2)
    both = evaluate_predictions(task, np.tile(labels, 2), predictions.reshape(1, -1))[task.metric]
    assert got == pytest.approx(both[0], abs=1e-6)
