"""references.csv and verdicts.csv: what a method's choice of exits is worth beside choices that know nothing, or all.

Four references, each a row beside the points of a method:

- `truncated`: everybody leaves at one layer of the DeeBERT model of the same seed, at the cost of the point;
- `random`: the exits of the point dealt to other examples, on the method's own trace: the same cost, no choice;
- `oracle`: each example leaves at the earliest layer of the same trace that is right, at layer 1 where none is;
- `constant`: the label with the best drawn metric on the training labels, for no layer at all.

Shapes: K points of one sweep, n examples, L layers.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from bench.halting.sweep import KEYS, Rows, Sweep, mean_layer_fraction
from bench.statistics.curves import TOLERANCE, interpolate
from bench.statistics.metrics import evaluate_predictions
from bench.tables.columns import PANEL, interval_columns

DEALS = 200
REFERENCES = [*KEYS, "reference", "layer_fraction", "metric", "value", "difference"]
VERDICTS = ["suite", *PANEL, "method", "metric", "against", "points", "seeds"]
VERDICTS += ["difference", "difference_low", "difference_high", "verdict"]
#: The references that a method must beat.
RIVALS = ("truncated", "random")


def reference_rows(sweeps: Sequence[Sweep]) -> Iterator[Rows]:
    """The references of every sweep whose examples leave at different layers.

    Args:
        sweeps: all sweeps of one panel; their traces list the same examples in the same order.
    """
    depths = {s.keys["seed"]: s for s in sweeps if s.keys["method"] == "truncated"}
    order = np.random.default_rng(zlib.crc32("/".join(sweeps[0].keys[k] for k in ("task", "split")).encode()))
    deals = np.argsort(order.random((DEALS, len(sweeps[0].trace.index))), axis=1)  # the same for all methods and seeds
    for one in sweeps:
        chosen = (one.layers != one.layers[:, :1]).any(axis=1)  # [K]
        if not chosen.any():
            continue
        own, x = drawn(one, one.predictions), one.layer_fraction
        rows = {**one.keys, "knob_value": one.knob_values, "layer_fraction": x, "metric": one.task.metric}
        if one.keys["seed"] in depths:
            depth = depths[one.keys["seed"]]
            height = interpolate(x, depth.layer_fraction, drawn(depth, depth.predictions))
            beside = {"reference": "truncated", "value": height, "difference": own - height}
            early = (x < 1 - TOLERANCE) & np.isfinite(height)
            yield pick({**rows, **beside}, early)
        value = dealt(one, deals)
        yield pick({**rows, "reference": "random", "value": value, "difference": own - value}, chosen)
        nobody = np.full((1, len(one.trace.labels)), one.constant, dtype=one.predictions.dtype)
        single = {**one.keys, "knob_value": np.nan, "metric": one.task.metric, "difference": np.nan}
        if not one.task.regression:
            cost, value = oracle(one)
            yield {**single, "reference": "oracle", "layer_fraction": cost, "value": np.array([value])}
        yield {**single, "reference": "constant", "layer_fraction": 0.0, "value": drawn(one, nobody)}


def pick(rows: Rows, which: np.ndarray) -> Rows:
    """Some of K rows, bool [K]."""
    return {name: value[which] if isinstance(value, np.ndarray) else value for name, value in rows.items()}


def drawn(sweep: Sweep, predictions: np.ndarray) -> np.ndarray:
    """The drawn metric [K] of predictions [K, n]."""
    return evaluate_predictions(sweep.task, sweep.trace.labels, predictions)[sweep.task.metric]


def dealt(sweep: Sweep, deals: np.ndarray) -> np.ndarray:
    """The drawn metric [K] when the exits of each point are dealt to the examples at random.

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
    examples = np.arange(n)
    return np.array([drawn(sweep, by_layer[examples, np.sort(exits)[deals] - 1]).mean() for exits in sweep.layers])


def oracle(sweep: Sweep) -> tuple[float, float]:
    """Mean layer fraction and drawn metric if every example left at its earliest right layer, at 1 where none is."""
    right = sweep.by_layer == sweep.trace.labels[:, None]  # [n, L]
    exits = right.argmax(axis=1)  # 0 where no layer is right, too
    value = drawn(sweep, sweep.by_layer[np.arange(len(exits)), exits][None])
    return float(mean_layer_fraction(exits + 1, sweep.panel_layers)), float(value[0])


def verdict_table(references: pd.DataFrame) -> pd.DataFrame:
    """verdicts.csv: whether a method beats truncated depth and random exit, on average over its points.

    The difference is the mean over the points of a run, then over seeds, with its 95 % t-interval over seeds.
    """
    rows = []
    compared = references[references["reference"].isin(RIVALS)]
    for keys, group in compared.groupby(["suite", *PANEL, "method", "metric", "reference"], sort=False):
        per_seed = group.groupby("seed")["difference"].mean()
        interval = interval_columns("difference", per_seed.to_numpy())
        counts = {"points": len(group), "seeds": len(per_seed)}
        rows.append({**dict(zip(VERDICTS[:7], keys, strict=True)), **counts, **interval, "verdict": verdict(interval)})
    return pd.DataFrame(rows, columns=VERDICTS)


def verdict(interval: dict[str, float]) -> str:
    """What an interval of differences says."""
    if interval["difference"] <= TOLERANCE:
        return "does not beat"
    return "beats" if interval["difference_low"] > 0 else "not shown"
