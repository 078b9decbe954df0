"""Numbers for print, with the digits that their interval supports.

Metrics are printed in points, 100 times their value. The half-width of an interval keeps one significant digit, two
where the first is a 1, and the mean is cut at the same place (Particle Data Group, "Review of Particle Physics",
introduction, section 5.3, uses the same idea).
"""

from __future__ import annotations

import math

import pandas as pd

EMPTY = "--"


def decimals(low: float, high: float) -> int:
    """Decimals, in points, that an interval supports; 1 without an interval or where it has no width."""
    half = 100 * (high - low) / 2
    if math.isnan(half) or half < 1e-9:
        return 1
    for digits in range(12):
        shown = round(half * 10**digits)
        if shown >= 1:
            return digits + (shown == 1)
    return 12


def supported(mean: float, low: float, high: float) -> str:
    """Mean and half-width in print, for LaTeX, with the digits that the interval supports."""
    if math.isnan(mean):
        return EMPTY
    digits = decimals(low, high)
    half = "" if math.isnan(low) else f" \\pm {100 * (high - low) / 2:.{digits}f}"
    return f"${100 * mean:.{digits}f}{half}$"


def plain(mean: float, low: float, high: float) -> str:
    """Mean and interval as text, in their own unit: two digits of the half-width, two decimals at least."""
    if math.isnan(mean):
        return EMPTY
    half = 0.0 if math.isnan(low) else (high - low) / 2
    digits = 3 if half < 1e-9 else max(2, 1 - math.floor(math.log10(half)))
    return f"{mean:.{digits}f}" + ("" if math.isnan(low) else f" [{low:.{digits}f}, {high:.{digits}f}]")


def number(value: float, digits: int) -> str:
    """A number in print, as LaTeX."""
    return EMPTY if math.isnan(value) else f"${100 * value:.{digits}f}$"


def interval(low: float, high: float, digits: int) -> str:
    """Both ends of an interval in print, as LaTeX."""
    return EMPTY if math.isnan(low) else f"$[{100 * low:.{digits}f}, {100 * high:.{digits}f}]$"


def p_value(p: float) -> str:
    """A p-value in print, as LaTeX, to three decimals."""
    return EMPTY if math.isnan(p) else "$<.001$" if p < 0.001 else f"${p:.3f}$"


def spread(seeds: pd.Series) -> str:
    """The number of seeds behind several numbers in print: `3 seeds`."""
    fewest, most = int(seeds.min()), int(seeds.max())
    if most == 1:
        return "one seed"
    return f"{most} seeds" if fewest == most else f"{fewest}–{most} seeds"


def counted_units(row: tuple) -> str:
    """How many units are behind a number in print, and of what kind: `6 tasks`, `1 task`."""
    return f"{row.units} {row.unit_kind if row.units != 1 else row.unit_kind.removesuffix('s')}"
