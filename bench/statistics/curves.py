"""Efficiency-performance curves from operating points: ties merged, interpolated, averaged over seeds.

Shapes: S seeds, K operating points of one run, G grid points, L layers; `...` stands for any number of runs, such as
the resamples of a bootstrap. A *run* here is the pair (x [K], y [K]) of all operating points of one method and seed: x
the mean fraction of layers used, y the metric; in any order, x may repeat.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.statistics.intervals import t_interval

#: The operating points of one run, x [K] and y [K].
Points = tuple[np.ndarray, np.ndarray]
TOLERANCE = 1e-12  # two layer fractions closer than this are the same number, computed in another order


def merge_equal_x(x: np.ndarray, y: np.ndarray) -> Points:
    """Sort the points of a run by x and replace points of equal x by their mean y.

    Returns:
        x [U] strictly increasing, y [U], U <= K.
    """
    unique, group = np.unique(np.asarray(x, dtype=np.float64), return_inverse=True)
    return unique, np.bincount(group, weights=y) / np.bincount(group)


def level_ties(x: np.ndarray, y: np.ndarray) -> Points:
    """Sort the points of many runs by x and give points of equal x their mean y, in arrays of the same shape.

    Args:
        x: [..., K].
        y: [..., K].

    Returns:
        x [..., K] rising, y [..., K].
    """
    # One bincount over all runs at once: a new group begins where x changes, and at the start of every run.
    order = np.argsort(x, axis=-1, kind="stable")
    x, y = (np.take_along_axis(np.asarray(v, dtype=np.float64), order, axis=-1) for v in (x, y))
    starts = np.ones(x.shape, dtype=bool)
    starts[..., 1:] = x[..., 1:] != x[..., :-1]
    group = np.cumsum(starts.ravel()) - 1
    return x, (np.bincount(group, weights=y.ravel()) / np.bincount(group))[group].reshape(y.shape)


def interpolate(grid: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Piecewise-linear value of runs at the x of `grid`; never extrapolates.

    Args:
        grid: [G], the same for all runs, or [..., G].
        x: [..., K].
        y: [..., K].

    Returns:
        [..., G], NaN outside [min x, max x] (to 1e-12).
    """
    grid = np.asarray(grid, dtype=np.float64)
    x, y = level_ties(x, y)
    left = (x[..., None, :] <= grid[..., None] + TOLERANCE).sum(axis=-1) - 1  # [..., G], last point at or before
    inside = (left >= 0) & (grid <= x[..., -1:] + TOLERANCE)
    left = np.maximum(left, 0)
    right = np.minimum(left + 1, x.shape[-1] - 1)  # at the last point both ends are that point: share 0
    (x_0, y_0), (x_1, y_1) = ([np.take_along_axis(v, at, axis=-1) for v in (x, y)] for at in (left, right))
    share = np.divide(grid - x_0, x_1 - x_0, out=np.zeros(left.shape), where=x_1 > x_0)
    return np.where(inside, y_0 + (y_1 - y_0) * np.clip(share, 0, 1), np.nan)


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
    grid: np.ndarray, runs: Sequence[Points], widest: float
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
    return mean, low, high, seeds, np.any([gap_mask(grid, x, widest) for x, _ in runs], axis=0)


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
    return order[np.argmin(np.round(distance, 12), axis=1)]  # rounded, or a tie could hang on the last bit


def prunable_layers(used: np.ndarray) -> int:
    """Number of trailing layers that no example of any seed uses, so that they could be cut off.

    Args:
        used: [S, L], how many examples use each layer.
    """
    reached = np.flatnonzero(np.asarray(used).any(axis=0))
    return int(np.shape(used)[-1] - (reached[-1] + 1 if len(reached) else 0))
