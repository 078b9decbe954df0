"""reliability.csv: accuracy by confidence, for every model at the setting nearest to half of the layers.

Its rows are made together with those of calibration.csv, from the same answers.

Shapes: n examples, K operating points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.halting.sweep import Rows, Sweep
from bench.statistics.calibration import binned
from bench.statistics.curves import nearest_in_x
from bench.tables.columns import CURVE

#: Models are shown at the operating point that costs nearest to this share of the layers.
COST = 0.5
RELIABILITY = [*CURVE, "variant", "knob", "knob_value", "layer_fraction", "seeds", "bin", "count", "confidence"]
RELIABILITY += ["accuracy"]


def shown_point(group: Sequence[Sweep]) -> int:
    """The operating point, by position, at which reliability.csv shows a model, from its sweeps of all seeds."""
    return int(nearest_in_x(np.array([COST]), mean_costs(group))[0])


def mean_costs(group: Sequence[Sweep]) -> np.ndarray:
    """For reliability.csv: the share of the layers at each operating point [K] of a model, mean over its seeds."""
    return np.mean([one.layer_fraction for one in group], axis=0)


def reliability(group: Sequence[Sweep], at: int, answers: Sequence[tuple[np.ndarray, np.ndarray]]) -> Rows:
    """reliability.csv of one model: its bins, the examples of all seeds together.

    Args:
        group: its sweeps, one per seed.
        at: as from `shown_point`.
        answers: of each seed the confidence [1, n] of its answers there, and whether they are right, bool [1, n].
    """
    confidence, right = (np.concatenate(parts, axis=1) for parts in zip(*answers, strict=True))
    count, sure, correct = (each[0] for each in binned(confidence, right))
    held = count > 0
    return {
        "knob_value": group[0].knob_values[at],
        "layer_fraction": mean_costs(group)[at],
        "seeds": len(group),
        "bin": np.flatnonzero(held) + 1,
        "count": count[held].astype(np.int64),
        "confidence": sure[held] / count[held],
        "accuracy": correct[held] / count[held],
    }
