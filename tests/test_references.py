"""References by hand: truncated depth, exits dealt at random, the oracle, the constant answer, and the verdicts."""

import numpy as np
import pandas as pd
import pytest

from bench.halting.sweep import Sweep
from bench.sources.tasks import TASKS
from bench.store.trace import Trace
from bench.tables.columns import concat_rows
from bench.tables.references import REFERENCES, dealt, oracle, reference_rows
from bench.tables.verdicts import VERDICTS, verdict_table
from methods import discover
from methods.base import RuleSpec

LABELS = np.array([0, 1, 1, 0, 1, 1])
#: Layer 1 is right for examples 0, 1 and 4, layer 2 for all but 3 and 5, layer 3 for all but 5.
BY_LAYER = np.array([[0, 0, 0], [1, 1, 1], [0, 1, 1], [1, 1, 0], [1, 1, 1], [0, 0, 0]], dtype=np.int8)

#: Layers cost alike and exits nothing: multiply-adds saved are layers saved.
PANEL_MACS = {"embedding": 0, "token": 10, "pair": 0}
MACS = {**PANEL_MACS, "exits": [[0, 0, 0]] * 3, "panel": {**PANEL_MACS, "layers": 3, "head": [0, 0, 0]}}


def make_sweep(method, layers, task="rte", seed=0, by_layer=BY_LAYER, labels=LABELS):
    """A sweep of a method that exits at `layers` [K, n] of 3, whatever its rule."""
    layers = np.array(layers, dtype=np.int8)
    n = len(labels)
    trace = Trace(np.zeros((n, 3, 2), np.float32), labels, np.arange(n), np.full(n, 5))
    keys = {"cell": "c", "suite": "tiny", "task": task, "split": "validation", "backbone": "bert", "method": method}
    keys |= {"variant": "", "seed": seed, "knob": "speed"}
    values = np.arange(len(layers)) / 10
    predictions = by_layer[np.arange(n), layers - 1]
    counted = (np.ones(len(values)), 1, 100.0, discover("equal").get(method), RuleSpec(3, TASKS[task].num_labels), MACS)
    return Sweep(keys, TASKS[task], values, layers, predictions, trace, 3, 1, None, by_layer, *counted)


def everybody(layer):
    return [layer] * 6


DEPTHS = [everybody(1), everybody(2), everybody(3)]  # accuracies 1/2, 2/3, 5/6
CHOSEN = [1, 1, 2, 3, 1, 1]  # everyone at the earliest right layer, or at 1: 5/6 right for 9 of 18 layers


def rows_of(*sweeps):
    return concat_rows(list(reference_rows(sweeps)), REFERENCES).set_index("reference")


def test_references_of_a_point_by_hand():
    table = rows_of(make_sweep("truncated", DEPTHS), make_sweep("mine", [CHOSEN, everybody(3)]))
    assert set(table["method"]) == {"mine"}  # truncated depth chooses nothing
    assert table.index.tolist() == ["truncated", "random", "oracle", "constant"]  # full depth is beside nothing
    # at 1/2 of the layers truncated depth is half-way between layers 1 and 2
    assert table.loc["truncated", ["layer_fraction", "value"]].tolist() == pytest.approx([0.5, 7 / 12])
    assert table.loc["truncated", "difference"] == pytest.approx(5 / 6 - 7 / 12)
    # four leave at layer 1, one each at 2 and 3
    by_chance = (4 * 1 / 2 + 2 / 3 + 5 / 6) / 6
    assert table.loc["random", ["layer_fraction", "value"]].tolist() == pytest.approx([0.5, by_chance])
    assert table.loc["oracle", ["layer_fraction", "value"]].tolist() == pytest.approx([9 / 18, 5 / 6])
    assert table.loc["constant", ["layer_fraction", "value"]].tolist() == pytest.approx([0, 4 / 6])
    assert table.loc[["oracle", "constant"], ["knob_value", "difference"]].isna().all(axis=None)


def test_random_exits_are_dealt_and_not_chosen():
    rng = np.random.default_rng(0)
    labels, right = rng.integers(0, 2, 300), rng.random((300, 3)) < [0.6, 0.7, 0.9]
    by_layer = np.where(right, labels[:, None], 1 - labels[:, None]).astype(np.int8)
    exits = rng.integers(1, 4, (2, 300))
    deals = np.argsort(rng.random((200, 300)), axis=1)
    exact = dealt(make_sweep("mine", exits, "rte", by_layer=by_layer, labels=labels), deals)
    of_deals = [
        np.mean([(by_layer[np.arange(300), np.sort(row)[deal] - 1] == labels).mean() for deal in deals])
        for row in exits
    ]
    assert exact == pytest.approx(of_deals, abs=0.005)
    assert dealt(make_sweep("mine", [[2] * 300], "mrpc", by_layer=by_layer, labels=labels), deals) == pytest.approx(
        2 * (labels & by_layer[:, 1]).sum() / (labels.sum() + by_layer[:, 1].sum())
    )  # F1, and one layer leaves nothing to chance


def test_the_oracle_leaves_at_layer_1_where_no_layer_is_right():
    wrong = np.array([[0, 0, 1], [0, 0, 0]], dtype=np.int8)
    assert oracle(make_sweep("mine", [[1, 1]], by_layer=wrong, labels=np.array([1, 1]))) == pytest.approx((4 / 6, 0.5))


def test_no_truncated_reference_without_a_model_of_the_same_seed():
    table = rows_of(make_sweep("truncated", DEPTHS, seed=1), make_sweep("mine", [CHOSEN]))
    assert "truncated" not in table.index


@pytest.mark.parametrize(
    ("differences", "expected"),
    [((0.02, 0.03, 0.025), "beats"), ((0.09, -0.02, 0.01), "not shown"), ((0.01, -0.05, 0.01), "does not beat")],
)
def test_a_verdict_needs_the_interval_above_zero(differences, expected):
    keys = {"suite": "tiny", "task": "rte", "split": "validation", "backbone": "bert", "method": "mine"}
    rows = [
        {**keys, "metric": "accuracy", "reference": "random", "seed": seed, "difference": value + spread}
        for seed, value in enumerate(differences)
        for spread in (-0.01, 0.01)  # two points a seed
    ]
    table = verdict_table(pd.DataFrame(rows))
    assert table.columns.tolist() == VERDICTS and len(table) == 1
    row = table.iloc[0]
    assert row["difference"] == pytest.approx(np.mean(differences)) and (row["points"], row["seeds"]) == (6, 3)
    assert row["verdict"] == expected


def test_one_seed_shows_nothing_but_a_loss():
    keys = {"suite": "t", "task": "rte", "split": "v", "backbone": "bert", "metric": "accuracy", "seed": 0}
    rows = [{**keys, "method": m, "reference": "truncated", "difference": d} for m, d in (("up", 0.1), ("down", -0.1))]
    assert verdict_table(pd.DataFrame(rows))["verdict"].tolist() == ["not shown", "does not beat"]
