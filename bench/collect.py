"""From traces to tables: every operating point by replay, then curves, intervals and areas.

Everything is read from the files of a run folder, in an order that depends on their content alone, so the same
traces give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.files import write_text
from bench.metrics import evaluate_predictions, values_from_confusion
from bench.replay import Replay, exact_curve, replay
from bench.statistics import halves
from bench.store import RunFolder
from bench.tables import auc_table, curve_table, knob_table
from bench.tasks import TASKS, Task
from bench.trace import Trace
from methods.base import Method

METRICS = ["accuracy", "f1", "matthews", "pearson", "spearman"]
KEYS = ["cell", "suite", "task", "split", "backbone", "method", "variant", "seed", "knob", "knob_value"]
POINTS = [*KEYS, "layer_fraction", "metric", "value", *METRICS, "n"]
EXITS = [*KEYS, "layer", "exit_count", "used_count"]
FAILURES = ["cell", "suite", "task", "backbone", "method", "variant", "seed", "status", "reason"]
#: What a point knows beyond its row in points.csv, for areas under held-out budgets.
HALVES = ["x_a", "y_a", "x_b", "y_b", "fallback_a", "fallback_b", "panel_layers"]
EXACT = ["task", "split", "backbone", "method", "seed", "layer_fraction", "value"]


@dataclass
class Tables:
    """The rows of a run folder as lists of tables, one entry per method and trace."""

    points: list[pd.DataFrame]
    exits: list[pd.DataFrame]
    exact: list[pd.DataFrame]


def collect(folder: RunFolder, methods: dict[str, Method]) -> dict[str, pd.DataFrame]:
    """Write every table of a run folder from its records and traces.

    Args:
        folder: the run folder.
        methods: all known methods, in the order of the tables; run.json says which of them are reported.

    Returns:
        The tables by file name without `.csv`.
    """
    shared = folder.shared()
    order = list(methods)
    tasks = list(TASKS)
    records = [record for record in folder.records() if record["spec"]["method"] in methods]
    records.sort(key=lambda r: (r["spec"]["backbone"], tasks.index(r["spec"]["task"]), r["spec"]["seed"], r["label"]))
    reported = [m for m in methods.values() if m.name in shared.get("methods", {}) or m.reference]
    rows = Tables([], [], [])
    for method in reported:
        trained = method.trained_by or method.name
        for record in records:
            spec = record["spec"]
            if record["status"] == "ok" and spec["method"] == trained and spec["version"] == methods[trained].version:
                for split in record["splits"]:
                    replay_into(rows, method, record, split, folder, shared)
    points = joined(rows.points, [*POINTS, *HALVES])
    tables = {
        "points": points[POINTS],
        "exits": joined(rows.exits, EXITS),
        "curves": curve_table(points, joined(rows.exact, EXACT)),
        "knobs": knob_table(points),
        "auc": auc_table(points),
        "failures": failure_table(records, shared, order),
    }
    for name, table in tables.items():
        write_text(folder.path / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
    return tables


def replay_into(rows: Tables, method: Method, record: dict, split: str, folder: RunFolder, shared: dict) -> None:
    """Replay a method on one trace and add its rows."""
    spec, task = record["spec"], TASKS[record["spec"]["task"]]
    trace = Trace.load(folder.trace_path(record["key"], split))
    num_layers, panel_layers = trace.logits.shape[1], record["panel_layers"]
    knob = method.knob(num_layers, task.num_labels)
    result = replay(method.halting_rule(num_layers, task.num_labels), trace)
    keys = {
        "cell": record["key"],
        "suite": shared["suite"],
        "task": task.id,
        "split": split,
        "backbone": spec["backbone"],
        "method": method.name,
        "variant": spec["variant"],
        "seed": spec["seed"],
        "knob": knob.name,
    }
    layers = result.exit_layers(knob, knob.values)  # [K, n]
    # one named knob without values to sweep (static models) leaves the column empty
    values = np.array(knob.values) if knob.name else np.full(1, np.nan)
    points = point_columns(task, trace, result, layers, panel_layers)
    points |= half_columns(task, trace, result, layers, panel_layers, record["constant_label"])
    rows.points.append(pd.DataFrame({**keys, "knob_value": values, **points, "panel_layers": panel_layers}))
    rows.exits.append(exit_rows(keys, values, layers, num_layers))
    if len(knob.values) > 1 and not task.regression:
        rows.exact.append(exact_rows(keys, task, trace, result, panel_layers))


def point_columns(task: Task, trace: Trace, result: Replay, layers: np.ndarray, panel_layers: int) -> dict:
    """Layer fraction and every metric of K operating points with exit layers [K, n]; columns of length K."""
    metrics = evaluate_predictions(task, trace.labels, result.predictions_at(layers))
    columns = {name: metrics.get(name, np.full(len(layers), np.nan)) for name in METRICS}
    x = layers.mean(axis=1) / panel_layers
    return {"layer_fraction": x, "metric": task.metric, "value": metrics[task.metric], **columns, "n": layers.shape[1]}


def half_columns(
    task: Task, trace: Trace, result: Replay, layers: np.ndarray, panel_layers: int, constant: float
) -> dict:
    """Cost and drawn metric on each half of the validation set, and what the constant label gives there."""
    in_a = halves(trace.index)
    predictions = result.predictions_at(layers)
    columns = {}
    for name, rows in (("a", in_a), ("b", ~in_a)):
        if not rows.any():  # only under a tiny --limit
            columns |= {f"{column}_{name}": np.full(len(layers), np.nan) for column in ("x", "y", "fallback")}
            continue
        labels = trace.labels[rows]
        columns[f"x_{name}"] = layers[:, rows].mean(axis=1) / panel_layers
        columns[f"y_{name}"] = evaluate_predictions(task, labels, predictions[:, rows])[task.metric]
        always = np.full((1, len(labels)), constant, dtype=trace.labels.dtype)
        columns[f"fallback_{name}"] = evaluate_predictions(task, labels, always)[task.metric][0]
    return columns


def exit_rows(keys: dict, values: np.ndarray, layers: np.ndarray, num_layers: int) -> pd.DataFrame:
    """How many examples exit at each layer, and how many have it computed, for K points with exit layers [K, n]."""
    exits = (layers[:, :, None] == np.arange(1, num_layers + 1)).sum(axis=1)  # [K, L]
    used = exits[:, ::-1].cumsum(axis=1)[:, ::-1]
    return pd.DataFrame(
        {
            **keys,
            "knob_value": np.repeat(values, num_layers),
            "layer": np.tile(np.arange(1, num_layers + 1), len(values)),
            "exit_count": exits.ravel(),
            "used_count": used.ravel(),
        }
    )


def exact_rows(keys: dict, task: Task, trace: Trace, result: Replay, panel_layers: int) -> pd.DataFrame:
    """The operating points of all distinct thresholds of one trace."""
    curve = exact_curve(result, trace.labels, task.num_labels)
    x = curve.layer_fraction * trace.logits.shape[1] / panel_layers
    value = values_from_confusion(curve.confusion)[task.metric]
    return pd.DataFrame({**{key: keys[key] for key in EXACT[:5]}, "layer_fraction": x, "value": value})


def failure_table(records: list[dict], shared: dict, order: list[str]) -> pd.DataFrame:
    """Every cell that failed or was skipped, with its reason."""
    rows = [
        {**record["spec"], "cell": record["key"], "suite": shared["suite"], **{k: record[k] for k in FAILURES[-2:]}}
        for record in sorted(records, key=lambda record: order.index(record["spec"]["method"]))
        if record["status"] != "ok"
    ]
    return pd.DataFrame(rows, columns=FAILURES)


def joined(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """Tables below each other with the given columns, also where there are none."""
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
