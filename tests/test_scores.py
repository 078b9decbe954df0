"""Scores of runs and their bootstrap: weights must give what replaying the drawn examples gives."""

import zlib
from dataclasses import replace

import numpy as np
import pytest

from bench.halting.candidates import Candidates
from bench.halting.sweep import point_rows, sweep
from bench.sources.tasks import TASKS
from bench.statistics.areas import spend
from bench.statistics.curves import gap_mask, interpolate
from bench.statistics.intervals import resamples
from bench.statistics.metrics import evaluate_predictions, metric_of_counts, weighted_counts
from bench.store.trace import Trace
from bench.tables.scores import AREAS, BUDGETS, QUANTITIES, WIDEST, group_means, panel_scores
from bench.tables.settings import Settings
from methods import discover

METHODS = discover()
NAMES = ("static", "dact", "deebert", "pabee")
#: What the records of six-layer models say about costs, here one multiply-add a token and layer.
MACS = {"embedding": 0, "token": 1, "pair": 0, "exits": [[0, 0, 0]] * 6}
MACS["panel"] = {"embedding": 0, "token": 1, "pair": 0, "layers": 6, "head": [0, 0, 0]}
COUNTED = {"macs": MACS, "accumulation": 1, "examples_seen": 180}


@pytest.fixture
def make_panel(make_trace, tmp_path):
    """`make_panel(task, pick)`: the sweeps of four methods and two seeds; `pick` draws the examples of the traces."""

    def make(task="rte", pick=slice(None), names=NAMES, n=60):
        sweeps = []
        for name in names:
            for position, variant in enumerate(METHODS[name].variants):
                for seed in (0, 1):
                    trace = make_trace(n, 6, TASKS[task].num_labels, seed=7 * seed + len(name) + len(variant))
                    labels = make_trace(n, 6, TASKS[task].num_labels, seed=0).labels
                    if TASKS[task].regression:
                        labels = labels + np.random.default_rng(0).normal(size=n)
                    # some models hardly go on, so that the curves span a range
                    halting = trace.halting**4.0 ** (position - 3) if name == "dact" else None
                    trace = replace(trace, labels=labels, halting=halting)
                    kept = {key: v[pick] for key, v in vars(trace).items() if v is not None}
                    spec = {"task": task, "backbone": "bert", "variant": variant, "seed": seed, "recipe": {"epochs": 3}}
                    record = {"key": "k", "spec": spec, "panel_layers": 6, "constant_label": 1, **COUNTED}
                    sweeps.append(sweep(METHODS[name], record, "validation", "tiny", Trace(**kept)))
        return sweeps

    return make


@pytest.mark.parametrize("task", ["rte", "mrpc", "cola", "mnli", "stsb"])
def test_weighted_metrics_are_those_of_repeated_examples(task):
    rng, task = np.random.default_rng(0), TASKS[task]
    if task.regression:
        labels, predictions = rng.normal(size=40), rng.normal(size=(5, 40))
        predictions[0] = 1.0
    else:
        labels, predictions = rng.integers(task.num_labels, size=40), rng.integers(task.num_labels, size=(5, 40))
        predictions[0] = 1
    (weights,) = resamples(40, 3, seed=1, block=3)
    got = metric_of_counts(task, weighted_counts(task, labels, predictions, weights))
    for row, weight in zip(got, weights, strict=True):
        drawn = np.repeat(np.arange(40), weight.astype(int))
        expected = evaluate_predictions(task, labels[drawn], predictions[:, drawn])[task.metric]
        np.testing.assert_allclose(row, expected, atol=1e-9)
    assert np.isnan(metric_of_counts(task, weighted_counts(task, labels, predictions, 0 * weights))).all()


@pytest.mark.parametrize("task", ["rte", "mrpc", "cola", "mnli"])
def test_a_resample_scores_as_the_replay_of_its_examples(make_panel, task):
    """At the paper's grid, whose settings are the same for any examples."""
    scores = panel_scores(make_panel(task), "grid", draws=3)
    assert np.isfinite(scores.values[:, : len(AREAS)]).any(axis=0).all()
    (weights,) = resamples(60, 3, seed=zlib.crc32(f"{task}/validation".encode()), block=3)
    given = np.isfinite(scores.values).all(axis=0)  # heights in a gap of the original curve are not given
    for at, weight in enumerate(weights):
        drawn = np.repeat(np.arange(60), weight.astype(int))
        again = panel_scores(make_panel(task, drawn), "grid", draws=1)
        for method in scores.methods:
            expected = again.values[list(again.rows(method).values())].mean(axis=0)
            assert scores.mean_draws(method).shape == (3, *expected.shape) == (3, len(QUANTITIES))
            both = given & np.isfinite(expected)
            np.testing.assert_allclose(scores.mean_draws(method)[at][both], expected[both], atol=1e-9)


def test_budgets_are_heights_of_the_curve_of_points(make_panel):
    sweeps = make_panel(names=("deebert",))
    scores = panel_scores(sweeps, "grid", draws=1)
    for values, one in zip(scores.values, sweeps, strict=True):
        rows = point_rows(one)
        expected = interpolate(BUDGETS, rows["layer_fraction"], rows["value"])
        expected[gap_mask(BUDGETS, rows["layer_fraction"], WIDEST)] = np.nan
        np.testing.assert_allclose(values[len(AREAS) :], expected)


def test_nothing_is_said_of_a_height_between_points_that_are_far_apart(make_panel):
    """Of a curve with a point at each end alone, a straight line between them is invented."""
    one, *_ = make_panel(names=("deebert",))
    ends = np.array([np.ones(60), np.full(60, 6)], dtype=np.int8)
    only = Candidates(np.zeros(2), ends, one.predictions[:2])
    scores = panel_scores([replace(one, candidates=dict.fromkeys(("all", "a", "b"), only))], draws=1)
    assert np.isnan(scores.values[0, len(AREAS) : -1]).all() and np.isfinite(scores.values[0, -1])
    assert np.isfinite(scores.values[0, 1:5]).all(), "steps and mixtures need no line"


def test_the_common_range_is_that_of_the_curves_that_ran(make_panel):
    scores = panel_scores(make_panel(names=("static", "deebert")), draws=2)
    lines = [x for (method, _), (x, _) in zip(scores.runs, scores.curves, strict=True) if method == "deebert"]
    assert scores.x_low == max(x.min() for x in lines) and scores.x_high == min(x.max() for x in lines)
    alone = panel_scores(make_panel(names=("static",)), draws=2)
    assert np.isnan(alone.x_low) and np.isnan(alone.values[:, 0]).all()
    assert np.isfinite(alone.values[:, 1]).all()


def test_an_outside_method_does_not_move_the_range_of_the_papers_three(make_panel):
    three = panel_scores(make_panel(), draws=1)
    four = panel_scores(make_panel(names=(*NAMES, "pabee-frozen")), draws=1)
    assert (three.x_low, three.x_high) == (four.x_low, four.x_high)


def test_the_constant_answer_bounds_every_area_from_below_on_the_half_that_chooses(make_panel):
    """A budget is spent on the constant answer or a setting: never on worse than that where it is chosen."""
    for one in make_panel(names=("dact", "deebert")):
        settings = Settings([one], "exact", "all")
        ones = np.ones((1, 60), dtype=np.float32)
        weighted = settings.under(ones)
        assert weighted.x[0, 0] == 0 and (np.diff(weighted.x[0, 1:]) <= 0).all()
        value, cost, _ = spend(weighted.x, weighted.y, weighted.x, weighted.y, np.array([0.1, 1.0]))
        assert value[0, 0] >= weighted.y[0, 0] and cost[0, 0] <= 0.1 + 1e-9


def test_bought_says_value_cost_and_how_often_the_constant_was_chosen(make_panel):
    scores = panel_scores(make_panel(names=("static",)), draws=1)
    assert scores.bought.shape == (2, 3, len(BUDGETS))
    # a static model fits no budget below all of the layers
    assert (scores.bought[:, 2, :-1] == 1).all() and (scores.bought[:, 1, :-1] == 0).all()
    assert scores.models_trained == {"static": 1}


def test_resamples_are_the_same_for_all_and_draw_n_examples():
    first, again = (np.concatenate(list(resamples(50, 7, seed=3, block=4))) for _ in range(2))
    assert (first == again).all() and (first.sum(axis=1) == 50).all() and len(first) == 7


def test_blocks_of_resamples_change_nothing(make_panel, monkeypatch):
    whole = panel_scores(make_panel(names=("deebert",)), draws=5).draws
    monkeypatch.setattr("bench.tables.scores.BLOCK", 120)  # two at a time
    again = panel_scores(make_panel(names=("deebert",)), draws=5).draws
    assert again.keys() == whole.keys()
    for group, drawn in whole.items():
        np.testing.assert_array_equal(again[group], drawn)


def test_means_are_over_the_seeds_that_two_methods_share():
    runs = [("a", 0), ("a", 1), ("b", 1), ("b", 2)]
    means = group_means(runs, np.array([[[1.0], [2.0], [4.0], [8.0]]]))
    assert {group: mean.item() for group, mean in means.items()} == {
        ("a", (0, 1)): 1.5,
        ("a", (1,)): 2.0,
        ("b", (1,)): 4.0,
        ("b", (1, 2)): 6.0,
    }
