"""From full depth to the cheapest setting: the points of one knob, or of several trained models, one after the other.

A path has points 0, 1, .. from deep to cheap. What an example loses, pays or answers is a table with one column per
place at which it can leave (`ThresholdPath`) or per model (`ModelPath`); sums of such tables over some of the examples,
at every point of the path, are all that choosing a point with a guarantee needs.

Shapes: n examples, E places to leave (the last is full depth), M moves, P points, S sets of examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class ThresholdPath:
    """Every threshold at which some example changes its exit, from full depth down.

    Lowering the threshold moves one example after the other to an earlier exit. Ties move together: a point is the end
    of one.

    Attributes:
        rows: [M] which example moves.
        source: [M] the place that it leaves.
        target: [M] the earlier place that it leaves for.
        ends: [P - 1] how many moves are done at points 1, 2, ..
        thresholds: [M] the score at which it moves, falling.
    """

    rows: np.ndarray
    source: np.ndarray
    target: np.ndarray
    ends: np.ndarray
    thresholds: np.ndarray

    @property
    def points(self) -> int:
        """P."""
        return len(self.ends) + 1

    @property
    def size(self) -> int:
        """How many numbers a sum for one set of examples takes."""
        return len(self.rows)

    def totals(self, table: np.ndarray, sets: np.ndarray) -> np.ndarray:
        """The sum of a table over the examples of each set, at every point.

        Args:
            table: [n, E].
            sets: bool [S, n].

        Returns:
            float64 [S, P].
        """
        return self._summed(table[:, -1], table[self.rows, self.target] - table[self.rows, self.source], sets)

    def worst_totals(self, table: np.ndarray, sets: np.ndarray) -> np.ndarray:
        """The same of each example's running maximum along the path, which never falls."""
        worst = np.array(table[:, -1], dtype=np.float64)
        first, change = worst.copy(), np.zeros(len(self.rows))
        for turn in self._turns:  # in each, an example moves at most once
            rows = self.rows[turn]
            risen = np.maximum(worst[rows], table[rows, self.target[turn]])
            change[turn] = risen - worst[rows]
            worst[rows] = risen
        return self._summed(first, change, sets)

    def changed(self, sets: np.ndarray) -> np.ndarray:
        """At which points an example of each set moves, bool [S, P]; at full depth always."""
        moved = np.cumsum(sets[:, self.rows], axis=1, dtype=np.int32)[:, self.ends - 1]
        return np.concatenate([np.ones((len(sets), 1), dtype=bool), np.diff(moved, axis=1, prepend=0) > 0], axis=1)

    def along(self, table: np.ndarray, examples: np.ndarray, points: np.ndarray) -> np.ndarray:
        """The entries of a table for some examples at some rising points: [len(points), len(examples)]."""
        place = np.full(len(table), -1)
        place[examples] = np.arange(len(examples))
        done = np.concatenate([[0], self.ends])[points]  # moves done at each point
        at = np.searchsorted(done, np.arange(len(self.rows)), side="right")  # the first point at which each is done
        counts = (at < len(points)) & (place[self.rows] >= 0)
        rows, source, target = self.rows[counts], self.source[counts], self.target[counts]
        steps = np.zeros((len(points), len(examples)))
        np.add.at(steps, (at[counts], place[rows]), table[rows, target] - table[rows, source])
        return table[examples, -1] + np.cumsum(steps, axis=0)

    def _summed(self, first: np.ndarray, change: np.ndarray, sets: np.ndarray) -> np.ndarray:
        start = (sets @ first.astype(np.float64))[:, None]
        counts = np.flatnonzero(change)  # most moves leave a loss as it was
        moved = np.where(sets[:, self.rows[counts]], change[counts], 0.0)
        sums = np.cumsum(np.concatenate([start, moved], axis=1), axis=1)
        return sums[:, np.concatenate([[0], np.searchsorted(counts, self.ends)])]

    @cached_property
    def _turns(self) -> list[np.ndarray]:
        """The positions of every example's first move, then of every second one, and so on."""
        order = np.argsort(self.rows, kind="stable")
        new = np.diff(self.rows[order], prepend=-1) != 0
        turn = np.arange(len(order)) - np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
        return [order[turn == each] for each in range(turn.max(initial=-1) + 1)]


@dataclass(frozen=True)
class ModelPath:
    """Several trained models, each at its one setting, from deep to cheap. Tables have a column per model, in order."""

    points: int

    @property
    def size(self) -> int:
        """How many numbers a sum for one set of examples takes."""
        return self.points

    def totals(self, table: np.ndarray, sets: np.ndarray) -> np.ndarray:
        """As `ThresholdPath.totals`, of [n, P]."""
        return sets @ table.astype(np.float64)

    def worst_totals(self, table: np.ndarray, sets: np.ndarray) -> np.ndarray:
        """As `ThresholdPath.worst_totals`."""
        return self.totals(np.maximum.accumulate(table, axis=1), sets)

    def changed(self, sets: np.ndarray) -> np.ndarray:
        """Every model is a point for every set."""
        return np.ones((len(sets), self.points), dtype=bool)

    def along(self, table: np.ndarray, examples: np.ndarray, points: np.ndarray) -> np.ndarray:
        """As `ThresholdPath.along`."""
        return table[np.ix_(examples, points)].T.astype(np.float64)


Path = ThresholdPath | ModelPath


def threshold_path(scores: np.ndarray) -> ThresholdPath:
    """The path of a rule that halts at the first place whose score reaches the threshold.

    An example can leave only at places whose score is above all earlier ones, its peaks, and at the last. Lowering the
    threshold past a peak moves the example there from its next peak (or the last place).

    Args:
        scores: [n, E]; the last place halts whatever its score.
    """
    last = scores.shape[1] - 1
    highest = np.maximum.accumulate(scores[:, :last], axis=1)
    is_peak = np.ones_like(highest, dtype=bool)
    is_peak[:, 1:] = highest[:, 1:] > highest[:, :-1]
    rows, target = np.nonzero(is_peak)  # row by row, each row's peaks from the first place to the last
    row_ends = np.diff(rows, append=-1) != 0
    source = np.where(row_ends, last, np.append(target[1:], last))
    thresholds = highest[rows, target]
    order = np.argsort(-thresholds, kind="stable")
    ends = np.flatnonzero(np.diff(thresholds[order], append=np.nan) != 0) + 1  # of ties
    return ThresholdPath(rows[order], source[order], target[order], ends, thresholds[order])
