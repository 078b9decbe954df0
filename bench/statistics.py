"""Intervals, curves and areas of the efficiency-performance plane: arrays in, arrays out.

Shapes: S seeds, K points of one run, G grid points, L layers, n examples. A *run* is the pair (x [K], y [K]) of all
operating points of one method and seed: x the mean fraction of layers used, y the metric; in any order, x may repeat.

Intervals over seeds are conditional on the validation set: they say how a new seed would move the number, not new data.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

Run = tuple[np.ndarray, np.ndarray]

TOLERANCE = 1e-12  # two layer fractions closer than this are the same number, computed in another order


def t_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Student-t interval of the mean over seeds (Student, "The probable error of a mean", Biometrika 1908).

    Args:
        values: [S, ...], one row per seed.
        confidence: nominal coverage of the two-sided interval.

    Returns:
        mean, low, high, each [...]; low and high are NaN for one seed, which has no spread.
    """
    values = np.asarray(values, dtype=np.float64)
    seeds, mean = len(values), values.mean(axis=0)
    if seeds < 2:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    half = stdtrit(seeds - 1, (1 + confidence) / 2) * values.std(axis=0, ddof=1) / np.sqrt(seeds)
    return mean, mean - half, mean + half


def merge_equal_x(x: np.ndarray, y: np.ndarray) -> Run:
    """Sort the points of a run by x and replace points of equal x by their mean y.

    Returns:
        x [U] strictly increasing, y [U], U <= K.
    """
    unique, group = np.unique(np.asarray(x, dtype=np.float64), return_inverse=True)
    return unique, np.bincount(group, weights=y) / np.bincount(group)


def interpolate(grid: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Piecewise-linear height of a run at `grid`; never extrapolates.

    Returns:
        [G], NaN outside [min x, max x] (to 1e-12).
    """
    grid = np.asarray(grid, dtype=np.float64)
    x, y = merge_equal_x(x, y)
    inside = (grid >= x[0] - TOLERANCE) & (grid <= x[-1] + TOLERANCE)
    return np.where(inside, np.interp(grid, x, y), np.nan)


def gap_mask(grid: np.ndarray, x: np.ndarray, widest: float) -> np.ndarray:
    """Where `grid` lies strictly between two neighbouring points of a run that are more than `widest` apart.

    Returns:
        bool [G]; False outside the run's range.
    """
    grid, x = np.asarray(grid, dtype=np.float64), np.unique(x)
    left = np.searchsorted(x, grid + TOLERANCE, side="right") - 1  # last point at or before the grid point, -1 if none
    between = (left >= 0) & (left < len(x) - 1)
    start, end = x[left], x[np.minimum(left + 1, len(x) - 1)]
    strictly = (grid > start + TOLERANCE) & (grid < end - TOLERANCE)
    return between & strictly & (end - start > widest + TOLERANCE)


def mean_curve(
    grid: np.ndarray, runs: Sequence[Run], widest: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean curve of several seeds on a common grid, with its 95 % Student-t band.

    Args:
        grid: [G] layer fractions.
        runs: one run per seed, at least one.
        widest: the widest gap between neighbouring points that counts as measured (3 / L).

    Returns:
        mean [G]: over the runs that have a value there, NaN where none has.
        low, high [G]: the band, NaN unless *all* runs have a value: a band over a changing set of seeds would jump.
        seeds int [G]: how many runs have a value.
        dotted bool [G]: some run bridges a gap wider than `widest` there.
    """
    heights = np.stack([interpolate(grid, x, y) for x, y in runs])  # [S, G]
    seeds = np.isfinite(heights).sum(axis=0)
    mean = np.where(seeds > 0, np.nansum(heights, axis=0) / np.maximum(seeds, 1), np.nan)
    _, low, high = t_interval(heights)  # NaN wherever one run is
    dotted = np.any([gap_mask(grid, x, widest) for x, _ in runs], axis=0)
    return mean, low, high, seeds, dotted


def common_range(methods: Sequence[Sequence[Run]]) -> tuple[float, float]:
    """The x-range that every run of every method covers.

    Returns:
        low, high; low > high where the runs share nothing.
    """
    runs = [run for seeds in methods for run in seeds]
    return max(float(np.min(x)) for x, _ in runs), min(float(np.max(x)) for x, _ in runs)


def widest_gap(x: np.ndarray, low: float, high: float) -> float:
    """Widest distance between neighbouring points of a run whose segment overlaps (low, high); NaN where none does.

    The whole distance counts, not its part inside the range: it is what the linear interpolation bridges.
    """
    x = np.unique(x)
    overlaps = (x[:-1] < high - TOLERANCE) & (x[1:] > low + TOLERANCE)
    return float(np.diff(x)[overlaps].max()) if overlaps.any() else float("nan")


def auc_common(runs: Sequence[Run], x_low: float, x_high: float) -> np.ndarray:
    """Mean height of each run over [x_low, x_high]: the exact integral of its piecewise-linear curve over the width.

    Returns:
        [S]; NaN for an empty range and for a run that does not cover it (nothing is extrapolated).
    """
    if not x_low < x_high:
        return np.full(len(runs), np.nan)
    return np.array([_mean_height(x, y, x_low, x_high) for x, y in runs])


def _mean_height(x: np.ndarray, y: np.ndarray, x_low: float, x_high: float) -> float:
    breaks = np.unique(x)
    nodes = np.concatenate([[x_low], breaks[(breaks > x_low) & (breaks < x_high)], [x_high]])
    return float(np.trapezoid(interpolate(nodes, x, y), nodes) / (x_high - x_low))


def auc_budget(
    x_a: np.ndarray,
    y_a: np.ndarray,
    x_b: np.ndarray,
    y_b: np.ndarray,
    fallback_a: float,
    fallback_b: float,
    num_layers: int,
    limit: float = 1.0,
) -> float:
    """Mean value that a budget buys, the knob being chosen on one half of the validation set and judged on the other.

    For every budget b = 1/L, 2/L, .. up to `limit`: on half A the point with the best value among those that cost at
    most b (ties: the cheaper one), its value on half B; then the halves swapped; the average of both, the mean over b.

    Args:
        x_a: [K] cost of each point on half A.
        y_a: [K] value of each point on half A.
        x_b: [K] cost of the same points on half B.
        y_b: [K] value of the same points on half B.
        fallback_a: value of the constant label on half A, where it stands in for a budget that no point fits.
        fallback_b: the same on half B.
        num_layers: L.
        limit: largest budget; .5 is the paper's "limited computation".
    """
    x_a, y_a, x_b, y_b = (np.asarray(v, dtype=np.float64) for v in (x_a, y_a, x_b, y_b))
    budgets = np.arange(1, num_layers + 1) / num_layers
    budgets = budgets[budgets <= limit + TOLERANCE]
    chosen_on_a = [_held_out(x_a, y_a, y_b, fallback_b, b) for b in budgets]
    chosen_on_b = [_held_out(x_b, y_b, y_a, fallback_a, b) for b in budgets]
    return float(np.mean([chosen_on_a, chosen_on_b]))


def _held_out(x: np.ndarray, y: np.ndarray, y_other: np.ndarray, fallback: float, budget: float) -> float:
    fits = np.flatnonzero(x <= budget + TOLERANCE)
    if not len(fits):
        return fallback
    best = fits[np.lexsort((x[fits], -y[fits]))[0]]
    return float(y_other[best])


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


def nearest_in_x(targets: np.ndarray, x: np.ndarray) -> np.ndarray:
    """For each target cost the operating point nearest to it (ties: the cheaper one): comparisons at equal cost.

    Args:
        targets: [T] layer fractions to match.
        x: [K] layer fractions of the operating points on offer.

    Returns:
        int [T], positions in `x`.
    """
    x = np.asarray(x, dtype=np.float64)
    order = np.argsort(x, kind="stable")
    distance = np.abs(np.asarray(targets, dtype=np.float64)[:, None] - x[order])  # [T, K]
    return order[np.argmin(np.round(distance, 12), axis=1)]


def prunable_layers(used: np.ndarray) -> int:
    """How many trailing layers no example of any seed uses, so that they could be cut off.

    Args:
        used: [S, L], how many examples use each layer.
    """
    reached = np.flatnonzero(np.asarray(used).any(axis=0))
    return int(np.shape(used)[-1] - (reached[-1] + 1 if len(reached) else 0))
