"""One number for a whole efficiency-performance curve: its mean height over a range of x, or over budgets of layers.

Shapes: K points of one run, B budgets, L layers, n examples; `...` stands for any number of runs, such as the resamples
of a bootstrap. A run is as in `bench.statistics.curves`.
"""

from __future__ import annotations

import numpy as np

from bench.statistics.curves import TOLERANCE, level_ties


def widest_gap(x: np.ndarray, low: float, high: float) -> float:
    """Widest distance between neighbouring points of a run whose segment overlaps (low, high); NaN where none does.

    The whole distance counts, not its part inside the range: it is what the linear interpolation bridges.
    """
    x = np.unique(x)
    overlaps = (x[:-1] < high - TOLERANCE) & (x[1:] > low + TOLERANCE)
    return float(np.diff(x)[overlaps].max()) if overlaps.any() else float("nan")


def auc_common(x: np.ndarray, y: np.ndarray, x_low: np.ndarray, x_high: np.ndarray) -> np.ndarray:
    """Mean height of runs over [x_low, x_high]: the exact integral of the piecewise-linear curve over the width.

    Args:
        x: [..., K].
        y: [..., K].
        x_low: [...] or a number.
        x_high: [...] or a number.

    Returns:
        [...]; NaN for an empty range and for a run that does not cover it (nothing is extrapolated).
    """
    x, y = level_ties(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    # [..., 1] against [..., K - 1] segments: every run may have a range of its own
    low, high = np.asarray(x_low, dtype=np.float64)[..., None], np.asarray(x_high, dtype=np.float64)[..., None]
    start, width = x[..., :-1], np.diff(x)
    left, right = np.clip(start, low, high), np.clip(x[..., 1:], low, high)
    slope = np.divide(np.diff(y), width, out=np.zeros(width.shape), where=width > 0)
    middle = y[..., :-1] + slope * ((left + right) / 2 - start)  # height of each clipped segment at its middle
    area = ((right - left) * middle).sum(axis=-1, keepdims=True)
    covered = (low < high) & (x[..., :1] <= low + TOLERANCE) & (x[..., -1:] >= high - TOLERANCE)
    return np.divide(area, high - low, out=np.full(area.shape, np.nan), where=covered)[..., 0]


def budget_values(
    x_a: np.ndarray,
    y_a: np.ndarray,
    x_b: np.ndarray,
    y_b: np.ndarray,
    fallback_a: np.ndarray,
    fallback_b: np.ndarray,
    num_layers: int,
) -> np.ndarray:
    """The metric that each budget of layers b = 1/L, 2/L, .. 1 reaches, chosen on one half and measured on the other.

    On half A of the validation set the point with the best value among those that cost at most b (ties: the cheaper
    one), its value on half B; then the halves swapped; the average of both.

    Args:
        x_a: [..., K] cost of each point on half A.
        y_a: [..., K] value of each point on half A.
        x_b: [..., K] cost of the same points on half B.
        y_b: [..., K] value of the same points on half B.
        fallback_a: [...] value of the constant label on half A, where it stands in for a budget that no point fits.
        fallback_b: [...] the same on half B.
        num_layers: L.

    Returns:
        [..., L].
    """
    total = 0.0
    # measured where it was not chosen: the best of many points is too good on the half that it is the best of
    for x, y, other, fallback in ((x_a, y_a, y_b, fallback_b), (x_b, y_b, y_a, fallback_a)):
        chosen, fits = best_within(x, y, every_budget(num_layers))
        value = np.take_along_axis(np.asarray(other, dtype=np.float64), chosen, axis=-1)
        total = total + np.where(fits, value, np.asarray(fallback, dtype=np.float64)[..., None])
    return total / 2


def auc_budget(values: np.ndarray, limit: float = 1.0) -> np.ndarray:
    """Mean [...] of the values [..., L] (`budget_values`) of budgets up to a limit; .5 is "limited computation"."""
    within = (every_budget(np.shape(values)[-1]) <= limit + TOLERANCE).sum()
    if not within:  # no budget is that small: one layer, up to half of it
        return np.full(np.shape(values)[:-1], np.nan)
    return values[..., :within].mean(axis=-1)


def every_budget(num_layers: int) -> np.ndarray:
    """The budgets of a model of L layers: 1/L, 2/L, .. 1, [L]."""
    return np.arange(1, num_layers + 1) / num_layers


def best_within(x: np.ndarray, y: np.ndarray, budgets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each budget the point with the best value among those that cost no more (ties: the cheaper one).

    Args:
        x: [..., K] costs.
        y: [..., K] values.
        budgets: [B].

    Returns:
        int [..., B], positions among the K points, and bool [..., B]: whether any point fits.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    order = np.lexsort((x, -y), axis=-1)  # best first, the cheaper of equals first
    fits = np.take_along_axis(x, order, axis=-1)[..., None, :] <= np.asarray(budgets)[:, None] + TOLERANCE
    # argmax finds the first that fits, which is the best; where none fits it gives 0, which `fits.any` disowns
    return np.take_along_axis(order, fits.argmax(axis=-1), axis=-1), fits.any(axis=-1)


def halves(index: np.ndarray) -> np.ndarray:
    """Which examples belong to half A of the validation set: the top bit of splitmix64 of the example's index.

    A function of the index alone, hence the same for every method, seed and machine, and unrelated to the order of the
    rows. The halves are equal in size only on average. Source of the hash: Steele, Lea and Flood, "Fast splittable
    pseudorandom number generators", OOPSLA 2014.

    Args:
        index: int [n], position of each example in its data source.

    Returns:
        bool [n].
    """
    z = np.atleast_1d(np.asarray(index, dtype=np.int64)).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(63)).astype(bool)
