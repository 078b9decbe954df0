"""references.csv: curves to hold a method's choice of exits against: truncated depth, random exits, oracle, constant.

Each is a row beside the points of a method:

- `truncated`: everybody leaves at one layer of the DeeBERT model of the same seed, at the cost of the point;
- `random`: the exits of the point dealt to other examples, on the method's own trace: the same cost, no choice;
- `oracle`: each example leaves at the earliest layer of the same trace that is right, at layer 1 where none is;
- `constant`: the one label with the best metric on the training labels, for no layer at all.

Shapes: K points of one sweep, n examples, L layers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.halting.sweep import KEYS, PanelSweeps, Rows, Sweep
from bench.statistics.curves import TOLERANCE, interpolate
from bench.tables.columns import examples_seed, task_metric

#: How often exits are dealt at random.
DEALS = 200
REFERENCES = [*KEYS, "reference", "layer_fraction", "metric", "value", "difference"]


def reference_rows(sweeps: PanelSweeps) -> Iterator[Rows]:
    """references.csv: the curves beside every sweep whose examples leave at different layers.

    Args:
        sweeps: all sweeps of one panel; their traces list the same examples in the same order.
    """
    depths = {s.keys["seed"]: s for s in sweeps if s.keys["method"] == "truncated"}
    rng = np.random.default_rng(examples_seed(sweeps[0]))
    deals = np.argsort(rng.random((DEALS, len(sweeps[0].trace.index))), axis=1)  # the same for all methods and seeds
    for one in sweeps:
        if not one.chooses.any():
            continue
        own, x = task_metric(one, one.predictions), one.layer_fraction
        rows = {**one.keys, "knob_value": one.knob_values, "layer_fraction": x, "metric": one.task.metric}
        if one.keys["seed"] in depths:
            depth = depths[one.keys["seed"]]
            height = interpolate(x, depth.layer_fraction, task_metric(depth, depth.predictions))
            early = (x < 1 - TOLERANCE) & np.isfinite(height)  # at full depth the two are one model
            yield pick({**rows, "reference": "truncated", "value": height, "difference": own - height}, early)
        value = dealt(one, deals)
        yield pick({**rows, "reference": "random", "value": value, "difference": own - value}, one.chooses)
        single = {**one.keys, "knob_value": np.nan, "metric": one.task.metric, "difference": np.nan}
        if not one.task.regression:
            cost, value = oracle(one)
            yield {**single, "reference": "oracle", "layer_fraction": cost, "value": np.array([value])}
        yield {**single, "reference": "constant", "layer_fraction": 0.0, "value": task_metric(one, one.always)}


def pick(rows: Rows, which: np.ndarray) -> Rows:
    """Those of K rows of references.csv that `which`, bool [K], names."""
    return {name: value[which] if isinstance(value, np.ndarray) else value for name, value in rows.items()}


def dealt(sweep: Sweep, deals: np.ndarray) -> np.ndarray:
    """The reference `random`: the task's metric [K] when the exits of each point are dealt to the examples at random.

    Mean over the deals; for accuracy the mean over all deals there are, which is exact: that of each layer, weighted by
    how many leave there.

    Args:
        sweep: the points, and what is answered at every layer of their trace.
        deals: int [D, n], the rank of each example in each deal.
    """
    labels, by_layer = sweep.trace.labels, sweep.by_layer  # [n], [n, L]
    n, num_layers = by_layer.shape
    if sweep.task.metric == "accuracy":
        shares = np.stack(
            [(sweep.layers == layer).mean(axis=1) for layer in range(1, num_layers + 1)], axis=1
        )  # [K, L]
        return shares @ (by_layer == labels[:, None]).mean(axis=0)
    answers = (by_layer[np.arange(n), np.sort(exits)[deals] - 1] for exits in sweep.layers)  # [D, n] of each point
    return np.array([task_metric(sweep, of_deals).mean() for of_deals in answers])


def oracle(sweep: Sweep) -> tuple[float, float]:
    """The reference `oracle`: cost and metric if every example left at its earliest right layer, at 1 where none is."""
    exits = (sweep.by_layer == sweep.trace.labels[:, None]).argmax(axis=1)  # [n], 0 where no layer is right, too
    value = task_metric(sweep, sweep.by_layer[np.arange(len(exits)), exits][None])
    return float((exits + 1).mean() / sweep.panel_layers), float(value[0])
