"""Tests of paired differences: p-values, by t-test or bootstrap, Holm's correction, minimal detectable differences.

Shapes: U units (seeds within a task, task means across tasks), D bootstrap draws, P comparisons of one family.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import chdtri, nctdtrinc, stdtr, stdtrit

from bench.statistics.intervals import COVERAGE

#: Differences are rounded to so many decimals first: what is smaller is rounding, not data.
DECIMALS = 12
#: More seeds than anybody trains.
MOST_UNITS = 1000
_UNITS = np.arange(2, MOST_UNITS + 1)
#: Probability of finding the minimal detectable difference (Cohen's convention).
POWER = 0.8


def t_test(differences: np.ndarray) -> np.ndarray:
    """Two-sided p-value of the paired t-test, df = U - 1 (Student, "The probable error of a mean", Biometrika 1908).

    Args:
        differences: [U, ...], one row per unit.

    Returns:
        [...]; NaN for one unit. Units that all differ by the same amount have no spread: p is 1 if that is 0, else 0.
    """
    differences = np.round(np.asarray(differences, dtype=np.float64), DECIMALS)
    units, mean = len(differences), differences.mean(axis=0)
    if units < 2:
        return np.full_like(mean, np.nan)
    error = differences.std(axis=0, ddof=1) / np.sqrt(units)
    no_spread = error < 10.0**-DECIMALS
    t = np.abs(mean) / np.where(no_spread, 1, error)
    constant = np.where(np.abs(mean) < 10.0**-DECIMALS, 1.0, 0.0)
    return np.where(no_spread, np.where(np.isnan(mean), np.nan, constant), 2 * stdtr(units - 1, -t))


def detectable(differences: np.ndarray) -> np.ndarray:
    """Minimal detectable difference: the true one that a paired t-test of this many units finds with 80 % power.

    Computed from the observed spread of the differences and the noncentral t-distribution (J. Cohen, "Statistical Power
    Analysis for the Behavioral Sciences", 1988, chapter 2). With 3 units it is 3.3 standard deviations.

    Args:
        differences: [U, ...].

    Returns:
        [...]; NaN for one unit.
    """
    differences = np.asarray(differences, dtype=np.float64)
    units = len(differences)
    if units < 2:
        return np.full(differences.shape[1:], np.nan)
    # the mean in standard errors at which T exceeds the critical value; the other tail adds less than 1e-5
    shift = nctdtrinc(units - 1, 1 - POWER, stdtrit(units - 1, (1 + COVERAGE) / 2))
    return shift * differences.std(axis=0, ddof=1) / np.sqrt(units)


def seeds_needed(differences: np.ndarray, relevant: float) -> float:
    """How many paired seeds a t-test takes to find a difference that matters, for planning the next run.

    For the smallest relevant difference, never for the observed one (power after the fact says nothing new), and for
    the upper 80 % limit of the standard deviation: three seeds often look steadier than they are.

    Args:
        differences: [U] of the seeds at hand.
        relevant: the difference to be found, at level .05 with power .8.

    Returns:
        At least 2; infinity above `MOST_UNITS`; NaN for one unit.
    """
    units = len(differences)
    if units < 2:
        return float("nan")
    deviation = np.std(differences, ddof=1) * np.sqrt((units - 1) / chdtri(units - 1, 1 - 0.2))
    enough = _shifts() * deviation / np.sqrt(_UNITS) <= relevant
    return float(_UNITS[enough.argmax()]) if enough.any() else float("inf")


@cache
def _shifts() -> np.ndarray:
    """The mean in standard errors that tests of 2 .. MOST_UNITS units find with the wanted power."""
    return nctdtrinc(_UNITS - 1, 1 - POWER, stdtrit(_UNITS - 1, (1 + COVERAGE) / 2))


def bootstrap_test(draws: np.ndarray) -> np.ndarray:
    """Two-sided p-value of a difference from its bootstrap draws [D, ...]: twice the smaller share beyond zero.

    One draw is added on each side, so that p is never 0 (A. Davison and D. Hinkley, "Bootstrap Methods and their
    Application", 1997, section 4.2).
    """
    draws = np.round(draws, DECIMALS)
    beyond = np.minimum((draws <= 0).sum(axis=0), (draws >= 0).sum(axis=0))
    return np.where(np.isnan(draws).any(axis=0), np.nan, np.minimum(1, 2 * (beyond + 1) / (len(draws) + 1)))


def holm(p: np.ndarray) -> np.ndarray:
    """Adjust the p-values of one family (S. Holm, "A simple sequentially rejective multiple test procedure", 1979).

    Args:
        p: [P]; NaN is no comparison and does not count.

    Returns:
        [P], each at least as large as before.
    """
    p = np.asarray(p, dtype=np.float64)
    adjusted = np.full(len(p), np.nan)
    order = np.argsort(p)[: np.isfinite(p).sum()]  # numpy sorts NaN last
    stepped = p[order] * (len(order) - np.arange(len(order)))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(stepped))
    return adjusted
