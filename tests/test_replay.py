"""Replay and exact curves against brute force, on random traces."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UserError
from bench.halting.replay import Replay, exact_curve, replay
from bench.statistics.metrics import confusion
from bench.store.trace import Trace
from methods import discover
from methods.base import Knob, RuleSpec

METHODS = discover()
SWEPT = [name for name, method in METHODS.items() if len(method.knob(RuleSpec(6, 3)).values) > 1]
numbers = st.integers(0, 10_000)


def view(name, trace):
    """A method's replay of a trace, and its knob."""
    shape = RuleSpec(*trace.logits.shape[1:])
    return replay(METHODS[name].halting_rule(shape), trace), METHODS[name].knob(shape)


def brute_force_exits(scores, reached):
    """Exit layers [n] by walking each example through its layers."""
    layers = []
    for row in scores:
        layer = 1
        while layer < len(row) and not reached(row[layer - 1]):
            layer += 1
        layers.append(layer)
    return np.array(layers)


@pytest.mark.parametrize("name", METHODS)
def test_exits_by_walking_layer_by_layer(name, make_trace):
    trace = make_trace(40)
    result, knob = view(name, trace)
    for value, layers in zip(knob.values, result.exit_layers(knob, knob.values), strict=True):
        threshold = knob.sign * value
        walked = brute_force_exits(result.scores, lambda s: s > threshold if knob.strict else s >= threshold)  # noqa: B023
        assert layers.tolist() == walked.tolist()


@pytest.mark.parametrize("name", METHODS)
@given(seed=numbers)
def test_everybody_leaves_once(name, seed, make_trace):
    result, knob = view(name, make_trace(30, 5, 2, seed))
    layers = result.exit_layers(knob, knob.values)
    counts = [np.bincount(row, minlength=6)[1:].sum() for row in layers]
    assert counts == [30] * len(knob.values)
    assert layers.min() >= 1
    assert layers.max() <= 5


@pytest.mark.parametrize("name", METHODS)
@given(seed=numbers, values=st.lists(st.floats(-12, 12), min_size=2, max_size=6, unique=True))
def test_a_lower_threshold_never_exits_later(name, seed, values, make_trace):
    result, knob = view(name, make_trace(30, 5, 2, seed))
    by_threshold = sorted(values, key=lambda value: knob.sign * value)
    layers = result.exit_layers(knob, tuple(by_threshold))
    assert (np.diff(layers, axis=0) >= 0).all()


def test_scores_at_the_threshold():
    result = Replay(np.zeros((1, 3), int), np.array([[0.0, 0.5, 0.5]]), np.zeros((1, 3, 2)))
    assert result.exit_layers(Knob(strict=True), (0.5,)).tolist() == [[3]]
    assert result.exit_layers(Knob(strict=False), (0.5, 0.0)).tolist() == [[2], [1]]
    assert result.exit_layers(Knob(sign=-1), (-0.5,)).tolist() == [[2]]


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite")])
def test_a_score_that_is_not_finite_is_refused_in_one_line(value, word):
    logits = np.zeros((5, 3, 2), np.float32)
    halting = np.full((5, 3), 0.5, np.float32)
    halting[:2, 1] = value
    trace = Trace(logits, np.zeros(5, int), np.arange(5), np.arange(5), halting)
    with pytest.raises(UserError, match=f"^LearnedRule: 2 of 5 scores at layer 2 are {word}$"):
        view("berxit", trace)


def test_predictions_are_taken_where_examples_leave():
    result = Replay(np.array([[5, 6, 7], [8, 9, 10]]), np.zeros((2, 3)), np.zeros((2, 3, 2)))
    assert result.predictions_at(np.array([[1, 3], [2, 2]])).tolist() == [[5, 10], [6, 9]]


def brute_force_curve(result, labels, num_labels):
    """(layers used in all, confusion counts) at every distinct score, from full depth down."""
    n, num_layers = result.scores.shape
    points = [np.full(n, num_layers)]
    for threshold in sorted(np.unique(result.scores[:, :-1]), reverse=True):
        points.append(brute_force_exits(result.scores, lambda s: s >= threshold))  # noqa: B023
    layers = np.array(points)
    return layers.sum(axis=1), confusion(labels, result.predictions_at(layers), num_labels)


@pytest.mark.parametrize("name", SWEPT)
@given(seed=numbers)
def test_the_exact_curve_is_brute_force_over_all_thresholds(name, seed, make_trace):
    trace = make_trace(12, 4, 3, seed)
    result, _ = view(name, trace)
    curve = exact_curve(result, trace.labels, 3)
    layers, counts = brute_force_curve(result, trace.labels, 3)
    # thresholds between two records change no decision: brute force repeats those points
    kept = np.append(True, np.diff(layers) != 0)
    assert (curve.layer_fraction * 12 * 4).round(9).tolist() == layers[kept].tolist()
    assert curve.confusion.tolist() == counts[kept].tolist()
    assert curve.layer_fraction[0] == 1
    assert (np.diff(curve.layer_fraction) < 0).all()


@pytest.mark.parametrize("name", SWEPT)
@given(seed=numbers)
def test_every_grid_point_lies_on_the_exact_curve(name, seed, make_trace):
    trace = make_trace(25, 5, 3, seed)
    result, knob = view(name, trace)
    curve = exact_curve(result, trace.labels, 3)
    exact = {(round(x * 25 * 5), str(c)) for x, c in zip(curve.layer_fraction, curve.confusion.tolist(), strict=True)}
    layers = result.exit_layers(knob, knob.values)
    counts = confusion(trace.labels, result.predictions_at(layers), 3)
    assert {(int(row.sum()), str(c)) for row, c in zip(layers, counts.tolist(), strict=True)} <= exact


@pytest.mark.parametrize("halting", [True, False])
def test_traces_survive_the_disk(halting, make_trace, tmp_path):
    trace = make_trace()
    if not halting:
        trace = Trace(trace.logits, trace.labels, trace.index, trace.length)
    trace.save(tmp_path / "trace.npz")
    read = Trace.load(tmp_path / "trace.npz")
    assert (read.halting is not None) == halting
    assert read.difficulty is None
    for name in ("logits", "labels", "index", "length"):
        assert np.array_equal(getattr(read, name), getattr(trace, name))
        assert getattr(read, name).dtype == getattr(trace, name).dtype


def test_a_trace_with_a_pickle_inside_is_refused(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, logits=np.array([{"evil": 1}], dtype=object))
    (tmp_path / "trace.npz").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="allow_pickle"):
        Trace.load(tmp_path / "trace.npz")
