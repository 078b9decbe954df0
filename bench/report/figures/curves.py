"""Mean curves with their bands, and marks of single models, as several figures draw them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bench.report.figures.looks import Look, point_title

KEYS = ["backbone", "task", "split", "method"]
#: The mean curves of every method and panel.
Curves = dict[tuple[str, ...], list[tuple[str, pd.DataFrame]]]


def group_curves(curves: pd.DataFrame) -> Curves:
    """The mean curves that figures draw, from curves.csv, with variants, by backbone, task, split and method.

    The exact one, through all thresholds at which a decision changes, where a method has it, else that of its grid.
    """
    curves = curves.sort_values("x", kind="stable")
    grouped: Curves = {}
    for (*key, variant), both in curves.groupby([*KEYS, "variant"]):
        exact = both["resolution"] == "exact"
        grouped.setdefault(tuple(key), []).append((variant, both[exact if exact.any() else ~exact]))
    return grouped


def curves_of(curves: Curves, rows: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """The mean curves that a figure draws for some rows of points.csv, each with the rows it is a mean of."""
    for variant, curve in curves.get(tuple(rows[key].iloc[0] for key in KEYS), ()):
        yield curve, rows[rows["variant"] == variant] if variant else rows


def same_setting(table: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    """The rows that a figure looks up: those of the same panel, method, variant and knob as `row`."""
    here = np.isclose(table["knob_value"], row["knob_value"])
    for key in ("task", "split", "backbone", "method", "variant"):
        here &= table[key] == row[key]
    return table[here]


def draw_curve(ax: Axes, curve: pd.DataFrame, look: Look) -> None:
    """The mean where every seed has a value, dotted where the interpolation bridges a wide gap, and the band."""
    curve = curve[curve["seeds"] == curve["seeds"].max()]
    x, mean, low, high, dotted = curve[["x", "mean", "low", "high", "dotted"]].to_numpy(dtype=np.float64).T
    dotted = dotted > 0
    before_and_after = np.pad(dotted, 1)
    touching = dotted | before_and_after[:-2] | before_and_after[2:]  # a dotted stretch starts where the line stopped
    ax.fill_between(x, low, high, color=look.color, alpha=0.2, linewidth=0)
    ax.plot(x, np.where(dotted, np.nan, mean), color=look.color, linestyle=look.dashes)
    ax.plot(x, np.where(touching, mean, np.nan), color=look.color, linestyle=":")


def draw_method(ax: Axes, by_method: dict[str, pd.DataFrame], lines: Curves, method: str, look: Look) -> None:
    """A method's single runs and its mean curves, where it ran."""
    if method in by_method:
        plot_points(ax, by_method[method], look)
        for curve, _ in curves_of(lines, by_method[method]):
            draw_curve(ax, curve, look)


def draw_marks(ax: Axes, by_method: dict[str, pd.DataFrame], marks: dict[str, dict]) -> None:
    """A mark for each of these static models, at the mean of its seeds."""
    for method, marker in marks.items():
        if method in by_method:
            ax.plot(*by_method[method][["layer_fraction", "value"]].mean(), **marker)


def plot_points(ax: Axes, rows: pd.DataFrame, look: Look) -> None:
    """Draw single runs; in SVG each point has a title, which browsers show: method, knob, seed, x and y.

    Args:
        ax: where.
        rows: rows of points.csv of one method.
        look: how.
    """
    dots = ax.scatter(
        rows["layer_fraction"],
        rows["value"],
        s=4,
        c=[look.color],
        marker=look.marker,
        alpha=0.6,
        linewidths=0,
        zorder=2,
        clip_on=False,
    )
    dots.set_urls([point_title(row) for row in rows.itertuples()])  # made titles when the figure is written
