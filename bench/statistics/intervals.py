"""95 % confidence intervals: of a mean over seeds, of a rank correlation, and by resampling examples.

Shapes: S seeds; D resamples of n examples; `...` stands for any further axes, such as the points of a curve.

Intervals over seeds are conditional on the validation set: they say how a new seed would move the number, not new data.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import ndtri, stdtrit

#: Nominal coverage of every two-sided interval.
COVERAGE = 0.95


def t_interval(values: np.ndarray, coverage: float = COVERAGE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Student-t interval of the mean over seeds (Student, "The probable error of a mean", Biometrika 1908).

    Args:
        values: [S, ...], one row per seed.
        coverage: nominal.

    Returns:
        mean, low, high, each [...]; low and high are NaN for one seed, which has no spread.
    """
    values = np.asarray(values, dtype=np.float64)
    seeds, mean = len(values), values.mean(axis=0)
    if seeds < 2:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    half = stdtrit(seeds - 1, (1 + coverage) / 2) * values.std(axis=0, ddof=1) / np.sqrt(seeds)
    return mean, mean - half, mean + half


def rank_interval(rho: float, units: int) -> tuple[float, float]:
    """95 % interval of Spearman's rank correlation, by Fisher's z.

    Standard error of D. Bonett and T. Wright, "Sample size requirements for estimating Pearson, Kendall and Spearman
    correlations", Psychometrika 2000. A perfect correlation, whose z is infinite, is moved in by half the smallest step
    that rho can take with this many units.

    Args:
        rho: the correlation.
        units: how many pairs.

    Returns:
        low, high; NaN for fewer than 4 units.
    """
    if units < 4 or np.isnan(rho):
        return np.nan, np.nan
    most = 1 - 6 / (units * (units**2 - 1))
    z = np.arctanh(np.clip(rho, -most, most))
    half = ndtri((1 + COVERAGE) / 2) * np.sqrt((1 + rho**2 / 2) / (units - 3))
    return float(np.tanh(z - half)), float(np.tanh(z + half))


def percentile_interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile bootstrap interval (B. Efron, "Bootstrap methods: another look at the jackknife", 1979).

    Args:
        draws: [D, ...].

    Returns:
        low, high, each [...].
    """
    tail = (1 - COVERAGE) / 2
    return tuple(np.quantile(draws, [tail, 1 - tail], axis=0))


def resamples(n: int, draws: int, seed: int, block: int) -> Iterator[np.ndarray]:
    """Weights of bootstrap resamples, float32 [block, n] at a time; what is drawn does not depend on the block."""
    rng = np.random.default_rng(seed)
    for start in range(0, draws, block):
        count = min(draws - start, block)
        # examples of resample i are counted from i n on, so that one call counts those of all
        examples = rng.integers(n, size=(count, n)) + n * np.arange(count)[:, None]
        yield np.bincount(examples.ravel(), minlength=count * n).reshape(count, n).astype(np.float32)
