"""Numbers for print, with the digits that their interval supports.

Metrics are printed in points, 100 times their value. The half-width of an interval keeps one significant digit, two
where the first is a 1, and the mean is cut at the same place (Particle Data Group, "Review of Particle Physics",
introduction, section 5.3, uses the same idea).
"""

from __future__ import annotations

import math

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
    """Mean and half-width for LaTeX."""
    if math.isnan(mean):
        return EMPTY
    digits = decimals(low, high)
    half = "" if math.isnan(low) else f" \\pm {100 * (high - low) / 2:.{digits}f}"
    return f"${100 * mean:.{digits}f}{half}$"


def plain(mean: float, low: float, high: float) -> str:
    """Mean and interval as plain text, in their own unit, with one digit more than the half-width keeps."""
    if math.isnan(mean):
        return EMPTY
    if math.isnan(low):
        return f"{mean:.3f}"
    digits = decimals(low / 100, high / 100) + 1
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def number(value: float, digits: int) -> str:
    """A number for LaTeX."""
    return EMPTY if math.isnan(value) else f"${100 * value:.{digits}f}$"


def interval(low: float, high: float, digits: int) -> str:
    """Both ends of an interval for LaTeX."""
    return EMPTY if math.isnan(low) else f"$[{100 * low:.{digits}f}, {100 * high:.{digits}f}]$"


def p_value(p: float) -> str:
    """A p-value for LaTeX, to three decimals."""
    return EMPTY if math.isnan(p) else "$<.001$" if p < 0.001 else f"${p:.3f}$"
