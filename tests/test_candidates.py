"""The settings on offer: thinned exact curves, and thresholds that decide alike."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.halting.candidates import between, exact_candidates, on_lattice
from bench.halting.replay import Replay
from methods.base import Knob


def rule_view(scores, predictions=None):
    scores = np.asarray(scores, dtype=np.float64)
    predictions = np.zeros(scores.shape, dtype=int) if predictions is None else np.asarray(predictions)
    return Replay(predictions, scores, np.zeros((*scores.shape, 2)))


def test_by_hand():
    # the first example leaves at layer 1 below .9, the second at layer 2 below .6 and at 1 below .2
    view = rule_view([[0.9, 0.1, 0], [0.2, 0.6, 0]], [[1, 0, 0], [1, 1, 0]])
    found = exact_candidates(view, Knob(sign=1))
    assert found.layers.tolist() == [[3, 3], [1, 3], [1, 2], [1, 1]]
    assert found.predictions.tolist() == [[0, 0], [1, 0], [1, 1], [1, 1]]
    assert found.knob_values[1:3] == pytest.approx([0.75, 0.4])


def test_only_the_examples_that_may_be_looked_at_choose():
    view = rule_view([[0.9, 0.1, 0], [0.2, 0.6, 0]])
    found = exact_candidates(view, Knob(), np.array([True, False]))
    assert found.layers.tolist() == [[3, 3], [1, 3]]


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([1, -1]))
def test_a_knob_at_these_values_decides_the_same(seed, strict, sign):
    rng = np.random.default_rng(seed)
    view = rule_view(np.round(rng.random((6, 4)), 1))  # with ties
    knob = Knob("t", strict=strict, sign=sign)
    found = exact_candidates(view, knob)
    assert (view.exit_layers(knob, tuple(found.knob_values)) == found.layers).all()
    assert (np.diff(found.layers.sum(axis=1)) < 0).all() and (found.layers[0] == 4).all()


def test_a_lattice_of_costs_keeps_both_ends():
    costs = np.linspace(1, 0.1, 400)
    chosen = on_lattice(costs, 48)
    assert len(chosen) == 48 and chosen[0] == 0 and chosen[-1] == 399
    assert np.diff(costs[chosen]).min() > -0.9 / 47 - 0.9 / 399  # no stretch is left out
    assert on_lattice(costs[:5], 48).tolist() == [0, 1, 2, 3, 4]


def test_a_knob_that_counts_keeps_to_whole_numbers():
    view = replace(rule_view([[0, 1, 2, 0], [0, 0, 1, 2]]), score_kind="count")
    found = exact_candidates(view, Knob("patience"))
    assert found.knob_values.tolist() == [3, 2, 1, 0] and found.layers[0].tolist() == [4, 4]


def test_thresholds_half_way():
    assert between(np.array([np.inf])).tolist() == [np.inf]
    got = between(np.array([np.inf, 0.8, 0.4]))
    assert got[0] > 0.8 and got[1] == pytest.approx(0.6) and got[2] < 0.4
