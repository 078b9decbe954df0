"""A setting whose risk is bounded: how often it may fail, tested on examples that were set aside for it.

A *loss* says what an early answer costs one example, a *risk* is its mean over examples like these. Given a path from
full depth to the cheapest setting (`bench.statistics.paths`) and calibration examples, each procedure gives the
cheapest setting that it can vouch for:

- `naive`: the mean loss on the calibration examples keeps to the tolerance. Vouches for nothing.
- `ltt`: Learn then Test. From full depth down, as long as an exact binomial test rejects "the risk is above the
  tolerance" at level delta; P(risk > tolerance) <= delta. Losses of 0 and 1.
- `betting`: the same with the betting test of a mean, for losses in [-1, 1].
- `crc`: conformal risk control; the *expected* risk keeps to the tolerance. Losses in [0, 1].

Sources: A. Angelopoulos, S. Bates, E. Candes, M. Jordan and L. Lei, "Learn then Test", 2021; I. Waudby-Smith and
A. Ramdas, "Estimating means of bounded random variables by betting", 2020; A. Angelopoulos, S. Bates, A. Fisch, L. Lei
and T. Schuster, "Conformal risk control", 2022; for early exit: M. Jazbec et al., "Fast yet Safe", 2024. Written from
the papers: a released selector was seen to return the first setting that *fails*.

Shapes: n examples, c of them for calibration, P points of a path, S splits, T pairs of a tolerance and a delta.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from scipy.special import bdtr

from bench.statistics.paths import ModelPath, Path

#: Chosen where no point can be vouched for.
NONE = -1
#: A bet may lose at most this share of the capital: the truncation of Waudby-Smith and Ramdas.
MOST_AT_STAKE = 0.75
#: The betting test looks at this many thresholds at most.
GRID_POINTS = 100
ROUNDING = 1e-9


def binomial_p(errors: np.ndarray, rows: int, tolerance: float) -> np.ndarray:
    """Exact p-value of "the risk is above the tolerance": the chance of so few errors at risk = tolerance."""
    return bdtr(np.asarray(errors, dtype=np.float64), rows, tolerance)


@cache
def rows_needed(procedure: str, tolerance: float, delta: float) -> int:
    """How many calibration examples a procedure needs to vouch for anything, were there no loss at all."""
    if procedure == "ltt":
        return math.ceil(math.log(delta) / math.log1p(-tolerance) - ROUNDING)
    if procedure == "betting":
        rows = math.ceil(-math.log(delta) / math.log1p(largest_bet(limit(tolerance)) * tolerance / 2))
        while best_capital(np.full((1, rows), 0.5), [limit(tolerance)], [delta])[0, 0] < 1 / delta:
            rows += 1  # first bets are smaller than the largest
        return rows
    return math.ceil(1 / tolerance - 1 - ROUNDING) if procedure == "crc" else 1


def limit(tolerance: float) -> float:
    """To test a loss d in [-1, 1] as a risk: the tolerance of (d + 1) / 2, which lies in [0, 1]."""
    return (1 + tolerance) / 2


def largest_bet(mean: float) -> float:
    """To test a risk by betting: the largest bet against a mean in [0, 1]; the value 1 then costs `MOST_AT_STAKE`."""
    return MOST_AT_STAKE / (1 - mean)


def best_capital(values: np.ndarray, means: Sequence[float], deltas: Sequence[float]) -> np.ndarray:
    """To test a risk by betting: the most that a bet against "the mean is at least m" ever wins, starting with 1.

    By Ville's inequality it exceeds 1 / delta with probability at most delta if the mean is m or more. The bet on a
    value is fixed by those before it: nu_i = sqrt(2 log(1 / delta) / (c var_{i-1})), at most `largest_bet`; the capital
    is the product of 1 - nu_i (value_i - m).

    Args:
        values: [P, c] in [0, 1], in random order.
        means: [T] the m to bet against.
        deltas: [T] the levels that the bets are meant for.

    Returns:
        [P, T].
    """
    count = np.arange(1, values.shape[1] + 1)
    mean = (0.5 + np.cumsum(values, axis=1)) / (count + 1)
    variance = (0.25 + np.cumsum((values - mean) ** 2, axis=1)) / (count + 1)
    before = np.concatenate([np.full((len(values), 1), 0.25), variance[:, :-1]], axis=1)
    bet = 1 / np.sqrt(before * values.shape[1])
    best = np.empty((len(values), len(means)))
    with np.errstate(over="ignore", under="ignore"):  # as good as certain, or as good as lost
        for at, (m, delta) in enumerate(zip(means, deltas, strict=True)):
            nu = np.minimum(bet * math.sqrt(2 * math.log(1 / delta)), largest_bet(m))
            best[:, at] = np.cumprod(1 - nu * (values - m), axis=1).max(axis=1)
    return best


def choose(
    procedure: str,
    path: Path,
    losses: np.ndarray,
    calibration: np.ndarray,
    tolerances: np.ndarray,
    deltas: np.ndarray | None = None,
) -> np.ndarray:
    """The cheapest point that `naive`, `ltt` or `crc` vouches for, int [T, S]; `NONE` where there is none.

    Args:
        procedure: which.
        path: from deep to cheap.
        losses: a table of the path, 0 or 1.
        calibration: bool [S, n], the same number of examples in each split.
        tolerances: [T] the risks that are tolerated.
        deltas: [T] how often the guarantee of `ltt` may fail; the others have none.
    """
    rows = int(calibration[0].sum())
    total = path.worst_totals if procedure == "crc" else path.totals
    errors, changed = total(losses, calibration), path.changed(calibration)
    scans = procedure != "naive" and not isinstance(path, ModelPath)
    chosen = []
    for tolerance, delta in zip(tolerances, tolerances if deltas is None else deltas, strict=True):
        if procedure == "ltt":
            p = binomial_p(np.arange(rows + 1), rows, tolerance)
            passed = p[np.rint(errors).astype(int)] <= shared(path, delta)
        elif procedure == "crc":
            passed = (errors + 1) / (rows + 1) <= tolerance + ROUNDING
        else:
            passed = errors <= tolerance * rows + ROUNDING
        chosen.append(last_passed(passed & changed, passed if scans else None))
    return np.array(chosen)


def shared(path: Path, delta: float) -> float:
    """The level of each test of a risk: delta where a scan stops at a failure, its share where all are tested."""
    return delta / path.points if isinstance(path, ModelPath) else delta


def last_passed(candidates: np.ndarray, scanned: np.ndarray | None = None) -> np.ndarray:
    """The last candidate [S, P] of each row whose risk passed, `NONE` without; before the first False of `scanned`."""
    if scanned is not None:
        candidates = candidates & np.logical_and.accumulate(scanned, axis=1)
    last = candidates.shape[1] - 1 - candidates[:, ::-1].argmax(axis=1)
    return np.where(candidates.any(axis=1), last, NONE)


def choose_by_betting(
    path: Path, losses: np.ndarray, order: np.ndarray, rest: np.ndarray, tolerances: np.ndarray, deltas: np.ndarray
) -> np.ndarray:
    """The cheapest point of one split that the betting test vouches for: int [T].

    Args:
        path: from deep to cheap.
        losses: a table of the path, in [-1, 1].
        order: [c] the calibration examples, in random order.
        rest: bool [n], the other examples; the thresholds that are looked at are some of those at which these change,
            hence fixed before the test.
        tolerances: [T].
        deltas: [T].
    """
    points = np.flatnonzero(path.changed(rest[None])[0])
    points = points[np.unique(np.linspace(0, len(points) - 1, GRID_POINTS).round().astype(int))]
    levels = np.array([shared(path, delta) for delta in deltas])
    means = np.array([limit(tolerance) for tolerance in tolerances])
    passed = np.zeros((len(points), len(levels)), dtype=bool)
    for some in blocks(len(points), len(order)):
        values = (path.along(losses, order, points[some]) + 1) / 2
        passed[some] = best_capital(values, means, levels) >= 1 / levels
        if not isinstance(path, ModelPath) and not passed[some].all(axis=0).any():
            break  # every scan has ended
    at = last_passed(passed.T, None if isinstance(path, ModelPath) else passed.T)
    return np.where(at == NONE, NONE, points[at])


def blocks(rows: int, width: int, most: int = 2**18) -> Iterator[slice]:
    """Slices of rows that hold `most` numbers each, or one row."""
    step = max(1, most // max(1, width))
    return (slice(start, start + step) for start in range(0, rows, step))


def calibration_splits(n: int, splits: int, seed: int) -> np.ndarray:
    """Random orders of n examples, [splits, n]: the first half of each is for calibration, in that order."""
    return np.argsort(np.random.default_rng(seed).random((splits, n)), axis=1)
