"""Costs and values of all settings of a run under weights of the examples: what scores, transfer and headline share.

A resample of a bootstrap is a vector of weights: how often each example was drawn.

Shapes: D resamples, n examples, K settings of one run, F counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.halting.sweep import Sweep
from bench.statistics.metrics import metric_of_counts, weighted_counts


class Settings:
    """All settings of one method and seed that a choice is made from, the constant answer first.

    Args:
        sweeps: one per trained variant.
        resolution: "exact" (thresholds at which a decision changes) or "grid" (what the method's paper swept).
        looked_at: the examples that may be looked at for the choice: "all", "a" or "b".
    """

    def __init__(self, sweeps: Sequence[Sweep], resolution: str, looked_at: str) -> None:
        first = sweeps[0]
        self.task, self.labels, self.panel_layers = first.task, first.trace.labels, first.panel_layers
        parts = [one.exact(looked_at) if resolution == "exact" else one.grid for one in sweeps]
        self.layers = np.concatenate([0 * parts[0].layers[:1], *(part.layers for part in parts)])  # [1 + K, n]
        self.predictions = np.concatenate([first.always, *(part.predictions for part in parts)])

    def under(self, weights: np.ndarray, rows: np.ndarray | slice = slice(None)) -> Weighted:
        """Costs and counts of some examples, bool [n], under weights [D, rows] of these."""
        total = weights.sum(axis=1, dtype=np.float64)[:, None]
        total[total == 0] = np.nan
        # sums of whole numbers: exact in float32, whatever the order of summation
        x = weights @ self.layers[:, rows].T.astype(np.float32) / total / self.panel_layers
        counts = weighted_counts(self.task, self.labels[rows], self.predictions[:, rows], weights)
        return Weighted(x, counts, metric_of_counts(self.task, counts))


@dataclass(frozen=True)
class Weighted:
    """Settings under weights, the constant answer first.

    Attributes:
        x: [D, 1 + K] costs.
        counts: [D, 1 + K, F].
        y: [D, 1 + K] values.
    """

    x: np.ndarray
    counts: np.ndarray
    y: np.ndarray


#: Weights of the examples of half A and of half B, [D, n] each.
Halved = tuple[np.ndarray, np.ndarray]
#: A run's settings on the half that chooses among them, and on the other.
Way = tuple[Weighted, Weighted]


def by_half(weights: np.ndarray, in_a: np.ndarray) -> Halved:
    """Weights [D, n] of the examples of half A, bool [n], and of those of half B."""
    return np.ascontiguousarray(weights[:, in_a]), np.ascontiguousarray(weights[:, ~in_a])
