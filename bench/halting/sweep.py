"""All operating points of one method on one trace, and the rows that they give in points.csv and exits.csv.

Shape symbols: K knob values, n examples, L layers of the trace's model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from bench.halting.candidates import Candidates, exact_candidates
from bench.halting.replay import Replay, exact_curve, replay
from bench.models.costs import mac_fraction
from bench.plan.methods import rule_spec
from bench.sources.tasks import Task, task_of
from bench.statistics.areas import halves
from bench.statistics.metrics import evaluate_predictions, values_from_confusion
from bench.store.trace import Trace
from methods.base import Knob, Method, RuleSpec

#: Some rows of a table: column -> array, or a scalar that all rows share. Thousands of small frames would be slow.
Rows = dict[str, object]

METRICS = ["accuracy", "f1", "matthews", "pearson", "spearman"]
AGREES = "agrees_with_full_depth"
KEYS = ["cell", "suite", "task", "split", "backbone", "method", "variant", "seed", "knob", "knob_value"]


@dataclass(frozen=True)
class Sweep:
    """All operating points of one method on one trace.

    Attributes:
        keys: the columns that name it, `KEYS` without `knob_value`.
        task: its task.
        knob_values: [K]; NaN for a method without a knob.
        layers: int8 [K, n], the layer at which each example halts.
        predictions: [K, n], what is answered there: class ids (int8), or scores for regression.
        trace: the trace.
        panel_layers: layers of the panel's backbone, by which layer fractions divide.
        constant: the constant answer with the best main metric on the training labels.
        curve: `layer_fraction` and `value` of the points of all distinct thresholds (of a regression, of some); None
            where the knob has one value.
        by_layer: [n, L], what each example is answered if it halts at each layer, like `predictions`; on layer L by
            the head, also where a second exit stands beside it.
        mac_fraction: [K], multiply-adds over those of the panel's static model.
        accumulation: in how many parts a batch was trained.
        train_rows: rows of one epoch of its training.
        candidates: the exact settings on offer, by the examples that may be looked at to choose them: "all", or "a" or
            "b" for a half of the validation set (`bench.statistics.areas.halves`).
        method: the method itself, for tables that ask its rule again.
        spec: what its rule and its knob depend on.
        macs: what the model's multiply-adds are made of (`bench.models.costs.model_macs`).
    """

    keys: dict[str, object]
    task: Task
    knob_values: np.ndarray
    layers: np.ndarray
    predictions: np.ndarray
    trace: Trace
    panel_layers: int
    constant: float
    curve: Rows | None
    by_layer: np.ndarray
    mac_fraction: np.ndarray
    accumulation: int
    train_rows: float
    method: Method
    spec: RuleSpec
    macs: dict
    candidates: dict[str, Candidates] = field(default_factory=dict)

    @property
    def grid(self) -> Candidates:
        """The settings that the method's paper swept."""
        return Candidates(self.knob_values, self.layers, self.predictions)

    def exact(self, looked_at: str = "all") -> Candidates:
        """The exact settings that some examples offer to choose from; without a knob to sweep the one there is."""
        return self.candidates.get(looked_at, self.grid)

    @property
    def layer_fraction(self) -> np.ndarray:
        """Mean share of the panel's layers used at each operating point: x of every curve, [K]."""
        return mean_layer_fraction(self.layers, self.panel_layers)

    @property
    def always(self) -> np.ndarray:
        """The constant answer to every example, like `predictions`: [1, n]."""
        return np.full((1, len(self.trace.labels)), self.constant, dtype=self.predictions.dtype)

    def named(self, *columns: str) -> dict[str, object]:
        """Some of its keys, for rows about several sweeps that have them in common."""
        return {name: self.keys[name] for name in columns}

    def rows(self, **columns: object) -> Rows:
        """Rows of the K points in any table: the keys and the knob values before other columns."""
        return {**self.keys, "knob_value": self.knob_values, **columns}

    @cached_property
    def chooses(self) -> np.ndarray:
        """Whether the examples of a point [K] leave at different layers."""
        return (self.layers != self.layers[:, :1]).any(axis=1)


#: All sweeps of one panel; their traces list the same examples in the same order.
PanelSweeps = Sequence[Sweep]


def mean_layer_fraction(layers: np.ndarray, panel_layers: int) -> np.ndarray:
    """The x of operating points: mean share of the panel's layers of examples that halt at `layers` [.., n]: [..]."""
    return layers.mean(axis=-1) / panel_layers


def keys_of(cell: str, spec: dict, suite: str, split: str, method: Method, knob: Knob) -> dict[str, object]:
    """What names the rows of a method on a split of a cell: `KEYS` without the value of the knob."""
    return {
        "cell": cell,
        "suite": suite,
        "task": spec["task"],
        "split": split,
        "backbone": spec["backbone"],
        "method": method.name,
        "variant": spec["variant"],
        "seed": spec["seed"],
        "knob": knob.name,
    }


def sweep(method: Method, record: dict, split: str, suite: str, trace: Trace) -> Sweep:
    """All operating points of a method on the trace of a finished cell.

    Args:
        method: whose rule and knob.
        record: the cell's record.
        split: which of the cell's splits.
        suite: name of the suite.
        trace: what the cell's model said there.
    """
    spec, task = record["spec"], task_of(record["spec"])
    num_layers, panel_layers = trace.logits.shape[1], record["panel_layers"]
    asked = rule_spec(method, num_layers, task.num_labels, spec["variant"])
    knob, result = method.knob(asked), replay(method.halting_rule(asked), trace)
    if not task.regression:
        result = replace(result, predictions=result.predictions.astype(np.int8))  # many settings of many runs are kept
    layers, predictions = result.decide(knob, knob.values)  # [K, n]
    in_a = halves(trace.index)
    looked_at = {"all": np.ones_like(in_a), "a": in_a, "b": ~in_a}
    values = np.array(knob.values) if knob.name else np.full(1, np.nan)  # a rule without a knob: the column is empty
    is_swept = len(knob.values) > 1
    candidates = {half: exact_candidates(result, knob, rows) for half, rows in looked_at.items()} if is_swept else {}
    return Sweep(
        keys=keys_of(record["key"], spec, suite, split, method, knob),
        task=task,
        knob_values=values,
        layers=layers.astype(np.int8),
        predictions=predictions,
        trace=trace,
        panel_layers=panel_layers,
        constant=record["constant_label"],
        curve=exact_points(task, trace, result, candidates["all"], panel_layers) if is_swept else None,
        candidates=candidates,
        by_layer=result.predictions,
        mac_fraction=mac_fraction(record["macs"], layers, trace.length),
        accumulation=record["accumulation"],
        train_rows=record["examples_seen"] / spec["recipe"]["epochs"],
        method=method,
        spec=asked,
        macs=record["macs"],
    )


def exact_points(task: Task, trace: Trace, result: Replay, some: Candidates, panel_layers: int) -> Rows:
    """A sweep's exact curve: cost and main metric where a decision changes; of a regression at `some` thresholds."""
    if task.regression:
        value = evaluate_predictions(task, trace.labels, some.predictions)[task.metric]
        return {"layer_fraction": some.layers.mean(axis=1) / panel_layers, "value": value}
    curve = exact_curve(result, trace.labels, task.num_labels)
    x = curve.layer_fraction * trace.logits.shape[1] / panel_layers
    return {"layer_fraction": x, "value": values_from_confusion(curve.confusion)[task.metric]}


def point_rows(sweep: Sweep) -> Rows:
    """Rows of points.csv: costs and every metric at each knob value."""
    task = sweep.task
    metrics = evaluate_predictions(task, sweep.trace.labels, sweep.predictions)
    agrees = np.nan if task.regression else (sweep.predictions == sweep.by_layer[:, -1]).mean(axis=1)
    columns = {name: metrics.get(name, np.nan) for name in METRICS} | {AGREES: agrees}
    return sweep.rows(
        layer_fraction=sweep.layer_fraction,
        mac_fraction=sweep.mac_fraction,
        metric=task.metric,
        value=metrics[task.metric],
        **columns,
        n=sweep.layers.shape[1],
        accumulation=sweep.accumulation,
    )


def settings_on_offer(sweep: Sweep) -> dict[str, object]:
    """The exact settings that somebody may choose from for a saved model, and the constant answer beside them.

    Returns:
        "exact": knob_value, layer_fraction and value of each; "constant": label and value.
    """
    task, labels, found = sweep.task, sweep.trace.labels, sweep.exact()
    value = evaluate_predictions(task, labels, found.predictions)[task.metric]
    x = mean_layer_fraction(found.layers, sweep.panel_layers)
    # a rule without a knob has one value, which halts nobody early: that one is to be given, and JSON has no NaN
    knobs = np.where(np.isnan(found.knob_values), sweep.method.knob(sweep.spec).values[0], found.knob_values)
    label = task.labels[int(sweep.constant)] if task.labels else sweep.constant
    return {
        "exact": [
            {"knob_value": float(knob), "layer_fraction": float(cost), "value": float(y)}
            for knob, cost, y in zip(knobs, x, value, strict=True)
        ],
        "constant": {"label": label, "value": float(evaluate_predictions(task, labels, sweep.always)[task.metric][0])},
    }
