"""The paper's Figure 2, metric against computation for every panel, and the same as a difference to full depth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.curves import curves_of, draw_curve, draw_marks, group_curves
from bench.report.figures.looks import MARKS, TRUNCATED, looks, metric, plot_points, swept, title
from bench.report.figures.page import annotate, band_note, blocks, data_note, layer_axis
from bench.statistics.curves import interpolate
from bench.statistics.intervals import t_interval
from bench.tables.columns import PAPER_METHODS, static_seed


def figure2(points: pd.DataFrame, curves: pd.DataFrame) -> Figure | None:
    """The paper's Figure 2: a block of panels per backbone, a panel per task and split, a key in each block.

    Args:
        points: points.csv.
        curves: curves.csv.

    Returns:
        The figure; None without a method that the paper draws.
    """
    points = points[points["method"].isin([*PAPER_METHODS, *MARKS, "truncated"])]
    drawn = looks(set(points["method"]) & set(PAPER_METHODS))
    if not drawn:
        return None
    lines = group_curves(curves)

    def draw_panel(ax: Axes, rows: pd.DataFrame) -> None:
        by_method = dict(list(rows.groupby("method")))
        _draw_truncated(ax, by_method)
        for method, look in drawn.items():
            if method in by_method:
                plot_points(ax, by_method[method], look)
                for curve, _ in curves_of(lines, by_method[method]):
                    draw_curve(ax, curve, look)
        draw_marks(ax, by_method, MARKS)
        low, high = rows["value"].min(), rows["value"].max()
        pad = 0.06 * max(high - low, 0.05)
        ax.set(title=title(rows.iloc[0]), ylabel=metric(rows), ylim=(low - pad, high + pad))
        layer_axis(ax)

    figure = blocks(points, draw_panel)
    note = "Points: single runs. Line: their mean where every seed has a value, dotted across gaps wider than 3 layers"
    annotate(figure, f"{note}; {band_note(points[points['method'].isin(PAPER_METHODS)])} {data_note(points)}")
    return figure


def difference(points: pd.DataFrame, curves: pd.DataFrame) -> Figure | None:
    """Difference of every method to full depth of the static model, laid out like Figure 2.

    Args:
        points: points.csv.
        curves: curves.csv.

    Returns:
        The figure; None without a method that has a curve, or without static models.
    """
    drawn = swept(points)
    if not drawn or not (points["method"] == "static").any():
        return None
    points = less_static(points)
    points = points[points["method"].isin(drawn)]
    lines = group_curves(curves)

    def draw_panel(ax: Axes, rows: pd.DataFrame) -> None:
        for method, look in drawn.items():
            here = rows[rows["method"] == method]
            for curve, points_of_it in curves_of(lines, here) if len(here) else ():
                draw_curve(ax, with_heights(curve, points_of_it), look)
        ax.axhline(0, color="black", linewidth=0.6)
        ax.set(title=title(rows.iloc[0]), ylabel=f"Δ {metric(rows)}")
        layer_axis(ax)

    figure = blocks(points, draw_panel)
    note = "Value minus full depth of the static model of the same seed, or of the one that all seeds start from (0: "
    note += "static). Line: mean where every seed has a value, dotted across gaps wider than 3 layers"
    annotate(figure, f"{note}; {band_note(points)} {data_note(points)}")
    return figure


def less_static(points: pd.DataFrame) -> pd.DataFrame:
    """Points whose value is the difference to the static model of the same seed, or the one of all seeds.

    Points without such a model are left out.
    """
    parts = []
    for _, panel in points.groupby(["task", "split", "backbone"], sort=False):
        static = panel[panel["method"] == "static"].set_index("seed")["value"]
        if len(static):
            seeds = panel.groupby("method", observed=True)["seed"].unique()
            beside = {seed: static.get(static_seed(seeds, seed), np.nan) for seed in panel["seed"].unique()}
            parts.append(panel.assign(value=panel["value"] - panel["seed"].map(beside)))
    return pd.concat(parts).dropna(subset="value")


def with_heights(curve: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """A mean curve with other heights at the same x: those of rows like points.csv's, again with their t-band."""
    runs = [run[["layer_fraction", "value"]].to_numpy().T for _, run in rows.groupby("seed")]
    mean, low, high = t_interval(np.stack([interpolate(curve["x"].to_numpy(), *run) for run in runs]))
    return curve.assign(mean=mean, low=low, high=high)


def _draw_truncated(ax: Axes, by_method: dict[str, pd.DataFrame]) -> None:
    if "truncated" in by_method:
        depth = by_method["truncated"].groupby("knob_value")[["layer_fraction", "value"]].mean()
        ax.plot(*depth.to_numpy().T, **TRUNCATED)
