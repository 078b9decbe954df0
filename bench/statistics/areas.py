"""One number for a whole efficiency-performance curve: its mean height over a range of x, or over budgets of layers.

Shapes: K points of one run, B budgets, L layers, n examples; `...` stands for any number of runs, such as the resamples
of a bootstrap. A run is as in `bench.statistics.curves`.
"""

from __future__ import annotations

import numpy as np

from bench.statistics.curves import TOLERANCE, level_ties


def widest_gap(x: np.ndarray, low: float, high: float) -> float:
    """Beside an area: the widest distance of neighbouring points of a run whose segment overlaps (low, high), or NaN.

    The whole distance counts, not its part inside the range: it is what the linear interpolation bridges.
    """
    x = np.unique(x)
    overlaps = (x[:-1] < high - TOLERANCE) & (x[1:] > low + TOLERANCE)
    return float(np.diff(x)[overlaps].max()) if overlaps.any() else float("nan")


def auc_common(x: np.ndarray, y: np.ndarray, x_low: np.ndarray, x_high: np.ndarray) -> np.ndarray:
    """Area under runs over [x_low, x_high], as mean height: the exact integral of the piecewise-linear curve.

    Args:
        x: [..., K].
        y: [..., K].
        x_low: [...] or a number.
        x_high: [...] or a number.

    Returns:
        [...]; NaN for an empty range and for a run that does not cover it (nothing is extrapolated).
    """
    x, y = level_ties(x, y)
    # [..., 1] against [..., K - 1] segments: every run may have a range of its own
    low, high = np.asarray(x_low, dtype=np.float64)[..., None], np.asarray(x_high, dtype=np.float64)[..., None]
    start, width = x[..., :-1], np.diff(x)
    left, right = np.clip(start, low, high), np.clip(x[..., 1:], low, high)
    slope = np.divide(np.diff(y), width, out=np.zeros(width.shape), where=width > 0)
    middle = y[..., :-1] + slope * ((left + right) / 2 - start)  # height of each clipped segment at its middle
    area = ((right - left) * middle).sum(axis=-1, keepdims=True)
    covered = (low < high) & (x[..., :1] <= low + TOLERANCE) & (x[..., -1:] >= high - TOLERANCE)
    return np.divide(area, high - low, out=np.full(area.shape, np.nan), where=covered)[..., 0]


def spend(
    x: np.ndarray, y: np.ndarray, x_other: np.ndarray, y_other: np.ndarray, budgets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each budget buys: the best setting within it on one half of the examples, read on the other.

    Read where it was not chosen, since the best of many settings is too good on the half that it is the best of.

    Args:
        x: [..., K] costs on the half that chooses; the constant answer, at no cost, first.
        y: [..., K] values there.
        x_other: [..., K] costs on the other half.
        y_other: [..., K] values there.
        budgets: [B].

    Returns:
        Three of [..., B]: the value on the other half, the cost there, and the setting's position among the K.
    """
    chosen, _ = best_within(x, y, budgets)  # the constant answer fits every budget
    value, cost = (np.take_along_axis(np.asarray(v, dtype=np.float64), chosen, axis=-1) for v in (y_other, x_other))
    return value, cost, chosen


def auc_budget(values: np.ndarray, limit: float = 1.0) -> np.ndarray:
    """The mean [...] of what budgets up to a limit buy, [..., L]; .5 is the paper's "limited computation"."""
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
