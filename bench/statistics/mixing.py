"""Budgets spent to the rim: a mixture of two operating points costs exactly what a budget allows.

A step area (`bench.statistics.areas`) pays a method for having many points: a flat curve with 5 points instead of 400
loses .03 of it, because budgets between two points buy the cheaper one. Dealing examples at random between the two
neighbouring points of the concave envelope costs exactly the budget, whatever the number of points.

Shapes: K points of one run, B budgets, V vertices; `...` stands for any number of runs, such as resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.statistics.curves import TOLERANCE


@dataclass(frozen=True)
class Mixture:
    """Which two points to deal examples between, for each budget.

    Attributes:
        low: int [..., B], the cheaper point.
        high: int [..., B], the dearer one; the same as `low` where the budget exceeds the last vertex.
        share: float64 [..., B], the share of examples that the dearer one gets.
    """

    low: np.ndarray
    high: np.ndarray
    share: np.ndarray

    def of(self, values: np.ndarray) -> np.ndarray:
        """The mixture [..., B] of what is linear in the examples, such as cost or accuracy, [..., K]."""
        low, high = (np.take_along_axis(values, at, axis=-1) for at in (self.low, self.high))
        return low + self.share * (high - low)

    def of_counts(self, counts: np.ndarray) -> np.ndarray:
        """The same of several counts a point, [..., K, F]: [..., B, F]."""
        low, high = (np.take_along_axis(counts, at[..., None], axis=-2) for at in (self.low, self.high))
        return low + self.share[..., None] * (high - low)  # exact where both points are the same


def envelope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The vertices of the rising concave envelope of points, from the cheapest point to the best one.

    Gift wrapping for all runs at once: from each vertex to the point that the steepest rise leads to (of several on one
    line the farthest), until no point is higher.

    Args:
        x: [..., K] costs.
        y: [..., K] values.

    Returns:
        int [..., V] positions among the K points; a run with fewer vertices than others repeats its last.
    """
    at = np.lexsort((-y, x), axis=-1)[..., :1]  # cheapest first, of these the best
    vertices = [at]
    for _ in range(x.shape[-1] - 1):
        run, rise = (values - np.take_along_axis(values, at, axis=-1) for values in (x, y))
        slope = np.divide(rise, run, out=np.full(rise.shape, -np.inf), where=run > TOLERANCE)
        steepest = slope.max(axis=-1, keepdims=True)
        rises = steepest > TOLERANCE
        if not rises.any():
            break
        on_line = np.where(slope >= steepest - TOLERANCE, x, -np.inf)
        at = np.where(rises, on_line.argmax(axis=-1)[..., None], at)
        vertices.append(at)
    return np.concatenate(vertices, axis=-1)


def spend_exactly(x: np.ndarray, y: np.ndarray, budgets: np.ndarray) -> Mixture:
    """How to spend each budget exactly, by the envelope of the points that are given.

    Args:
        x: [..., K] costs, the constant answer at 0 among them.
        y: [..., K] values.
        budgets: [B], none below the cheapest point.

    Returns:
        The mixture; above the last vertex, which is the best point, the budget is not spent.
    """
    vertices = envelope(x, y)
    costs = np.take_along_axis(x, vertices, axis=-1)  # [..., V]
    passed = (costs[..., None, :] <= np.asarray(budgets)[:, None] + TOLERANCE).sum(axis=-1) - 1  # [..., B]
    passed = np.maximum(passed, 0)
    following = np.minimum(passed + 1, vertices.shape[-1] - 1)
    x_low, x_high = (np.take_along_axis(costs, which, axis=-1) for which in (passed, following))
    width = x_high - x_low
    share = np.divide(budgets - x_low, width, out=np.zeros(width.shape), where=width > TOLERANCE)
    low, high = (np.take_along_axis(vertices, which, axis=-1) for which in (passed, following))
    return Mixture(low, high, np.clip(share, 0, 1))
