"""Numbers for print.

In LaTeX all have the same digits in a table, so that they stand below one another; metrics are printed in points, 100
times their value. As text, a number has the digits that its interval supports.
"""

from __future__ import annotations

import math

import pandas as pd

EMPTY = "--"


def mean_and_half(mean: float, low: float, high: float, digits: int = 1, unit: float = 100) -> tuple[str, str]:
    """Mean and, where there is an interval, its half-width in print, as LaTeX: what stands before ± and from it on."""
    if math.isnan(mean):
        return EMPTY, ""
    half = "" if math.isnan(low) else f"${{}}\\pm {unit * (high - low) / 2:.{digits}f}$"
    return f"${round(unit * mean, digits) + 0.0:.{digits}f}$", half  # + 0: no -0.0


def value_and_ends(value: float, low: float, high: float) -> tuple[str, str]:
    """A value and, where there is an interval, its ends in print, as LaTeX, in their own unit."""
    if math.isnan(value):
        return EMPTY, ""
    return f"${value:.3f}$", "" if math.isnan(low) else f"$\\;[{low:.3f}, {high:.3f}]$"


def plain(mean: float, low: float, high: float) -> str:
    """Mean and interval as text, in their own unit: two digits of the half-width, two decimals at least."""
    if math.isnan(mean):
        return EMPTY
    half = 0.0 if math.isnan(low) else (high - low) / 2
    digits = 3 if half < 1e-9 else max(2, 1 - math.floor(math.log10(half)))
    return f"{mean:.{digits}f}" + ("" if math.isnan(low) else f" [{low:.{digits}f}, {high:.{digits}f}]")


def number(value: float) -> str:
    """A number in print, as LaTeX, in points."""
    return EMPTY if math.isnan(value) else f"${round(100 * value, 1) + 0.0:.1f}$"


def interval(low: float, high: float) -> str:
    """Both ends of an interval in print, as LaTeX, in points."""
    return EMPTY if math.isnan(low) else f"$[{100 * low:.1f}, {100 * high:.1f}]$"


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
