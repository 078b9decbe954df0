"""What two bytes a number change: decisions and points of a method on a trace as recorded and as a bundle keeps it."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from bench.halting.replay import replay
from bench.plan.methods import rule_spec
from bench.sources.tasks import Task, task_of
from bench.statistics.metrics import evaluate_predictions
from bench.store.packed import rounded
from bench.store.trace import Trace
from methods.base import Method


@dataclass(frozen=True)
class Changes:
    """What rounding changed, over all settings of the papers' grids.

    Attributes:
        decisions: an example at a setting, each counted once.
        exits: of those, how many halt at another layer.
        answers: of those, how many are answered otherwise.
        layer_fraction: the largest change of the cost of a point.
        value: the largest change of the main metric of a point.
    """

    decisions: int = 0
    exits: int = 0
    answers: int = 0
    layer_fraction: float = 0.0
    value: float = 0.0

    def __or__(self, other: Changes) -> Changes:
        """Both together."""
        counts = [a + b for a, b in zip(astuple(self)[:3], astuple(other)[:3], strict=True)]
        return Changes(*counts, *map(max, astuple(self)[3:], astuple(other)[3:]))

    def words(self) -> str:
        """The same in a sentence."""
        shares = [f"{count} ({100 * count / max(1, self.decisions):.3f} %)" for count in (self.exits, self.answers)]
        return (
            f"of {self.decisions} decisions {shares[0]} halt at another layer and {shares[1]} are answered otherwise; "
            f"a point moves by at most {self.layer_fraction:.5f} of the layers and {self.value:.5f} of its metric"
        )


def changes(method: Method, record: dict, trace: Trace, precision: str) -> Changes:
    """What two bytes a number change for one method on one trace.

    Args:
        method: whose rule and knob.
        record: of the trace's cell.
        trace: as it was recorded.
        precision: of `bench.store.packed.PRECISIONS`.
    """
    task = task_of(record["spec"])
    (layers, answers), (other_layers, other_answers) = (
        decided(method, record, task, one) for one in (trace, rounded(trace, precision))
    )
    y, other_y = (evaluate_predictions(task, trace.labels, each)[task.metric] for each in (answers, other_answers))
    moved = np.abs(layers.mean(axis=1) - other_layers.mean(axis=1)) / record["panel_layers"]
    # a regression is answered by a number, which is otherwise if it moves by more than its rounding
    same = np.isclose(answers, other_answers, rtol=1e-2) if task.regression else answers == other_answers
    counts = (layers.size, int((layers != other_layers).sum()), int((~same).sum()))
    return Changes(*counts, float(moved.max()), float(np.nanmax(np.abs(y - other_y), initial=0)))


def decided(method: Method, record: dict, task: Task, trace: Trace) -> tuple[np.ndarray, np.ndarray]:
    """Decisions on a trace, rounded or not: where each example halts at each grid setting, its answer, two [K, n]."""
    asked = rule_spec(method, trace.logits.shape[1], task.num_labels, record["spec"]["variant"])
    knob = method.knob(asked)
    return replay(method.halting_rule(asked), trace).decide(knob, knob.values)
