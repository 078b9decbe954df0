"""reliability.csv: accuracy by confidence, for every model at the setting nearest to half of the layers.

Shapes: n examples, K operating points.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.halting.sweep import PanelSweeps, Rows, Sweep
from bench.statistics.calibration import binned, tempered
from bench.statistics.curves import nearest_in_x
from bench.tables.calibration import by_model, exit_logits, sureness
from bench.tables.columns import CURVE

#: Models are shown at the operating point that costs nearest to this share of the layers.
COST = 0.5
RELIABILITY = [*CURVE, "variant", "knob", "knob_value", "layer_fraction", "seeds", "bin", "count", "confidence"]
RELIABILITY += ["accuracy"]


def reliability_rows(sweeps: PanelSweeps) -> Iterator[Rows]:
    """reliability.csv: the bins of every model of a panel, the examples of all seeds together; none for regression.

    Args:
        sweeps: all sweeps of one panel; their traces list the same examples in the same order.
    """
    for group in () if sweeps[0].task.regression else by_model(sweeps):
        costs = np.mean([one.layer_fraction for one in group], axis=0)  # [K]
        at = nearest_in_x(np.array([COST]), costs)[0]
        answers = [answers_at(one, at) for one in group]
        confidence, right = (np.concatenate(parts, axis=1) for parts in zip(*answers, strict=True))
        count, sure, correct = (each[0] for each in binned(confidence, right))
        held = count > 0
        yield {
            **group[0].named(*CURVE, "variant", "knob"),
            "knob_value": group[0].knob_values[at],
            "layer_fraction": costs[at],
            "seeds": len(group),
            "bin": np.flatnonzero(held) + 1,
            "count": count[held].astype(np.int64),
            "confidence": sure[held] / count[held],
            "accuracy": correct[held] / count[held],
        }


def answers_at(one: Sweep, at: int) -> tuple[np.ndarray, np.ndarray]:
    """For reliability.csv: how sure a model's answers at a point are, and whether they are right: [1, n] each."""
    logits, _, place = exit_logits(one)
    chosen = logits[place[at], np.arange(place.shape[1])][None]
    return sureness(tempered(chosen, np.ones(chosen.shape[:2])), one.trace.labels)
