"""Metric against computation: the paper's Figure 2, the same for every method, and the difference to full depth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.looks import (
    MARKS,
    OTHER_MARKS,
    PAPER,
    REFERENCES,
    TRUNCATED,
    Look,
    family,
    looks,
    metric,
    panels,
    plot_points,
    swept,
    title,
)
from bench.report.figures.page import LAYERS_USED, TEXT_WIDTH, annotate, band_note, blocks, layer_axis, source
from bench.statistics.intervals import interpolate, static_seed, t_interval

KEYS = ["backbone", "task", "split", "method"]
#: The mean curves of every method and panel.
Curves = dict[tuple[str, ...], list[tuple[str, pd.DataFrame]]]


def figure2(points: pd.DataFrame, curves: pd.DataFrame) -> Figure | None:
    """The paper's Figure 2: a block of panels per backbone, a panel per task and split, a key in each block.

    Args:
        points: points.csv.
        curves: curves.csv.

    Returns:
        The figure; None without a method that the paper draws.
    """
    points = points[points["method"].isin([*PAPER, *MARKS, "truncated"])]
    drawn = looks(set(points["method"]) & set(PAPER))
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
        _draw_marks(ax, by_method, MARKS)
        low, high = rows["value"].min(), rows["value"].max()
        pad = 0.06 * max(high - low, 0.05)
        ax.set(title=title(rows.iloc[0]), ylabel=metric(rows), ylim=(low - pad, high + pad))
        layer_axis(ax)

    figure = blocks(points, draw_panel)
    note = "Points: single runs. Line: their mean where every seed has a value, dotted across gaps wider than 3 layers"
    annotate(figure, f"{note}; {band_note(points[points['method'].isin(PAPER)])} {source(points)}")
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
    annotate(figure, f"{note}; {band_note(points)} {source(points)}")
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


def multiples(points: pd.DataFrame, curves: pd.DataFrame, references: pd.DataFrame) -> Figure | None:
    """Small multiples on one backbone: a row per method, a column per task; the other methods in grey behind it.

    Args:
        points: rows of points.csv of one backbone.
        curves: curves.csv.
        references: rows of references.csv of the same backbone.

    Returns:
        The figure; None without a method that has a curve.
    """
    drawn = swept(points)
    if not drawn:
        return None
    columns = list(panels(points[points["method"].isin([*drawn, *MARKS, *OTHER_MARKS])]))
    size = (max(TEXT_WIDTH / 2, min(TEXT_WIDTH, 1.1 * len(columns) + 0.4)), 0.85 * len(drawn) + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(drawn), len(columns), squeeze=False)  # shared axes would take twice as long to draw
    lines = group_curves(curves)
    for column, (task, split, rows) in zip(axes.T, columns, strict=True):
        by_method = dict(list(rows.groupby("method")))
        beside = references[(references["task"] == task) & (references["split"] == split)]
        heights = pd.concat([rows["value"], beside["value"]])
        low, high = heights.min() - 0.03, heights.max() + 0.03
        column[0].set_title(f"{title(rows.iloc[0])}\n{metric(rows)}".replace(", ", ",\n"))
        for ax, (method, look) in zip(column, drawn.items(), strict=True):
            _draw_one(ax, by_method, lines, method, look, [other for other in drawn if other != method])
            _draw_references(ax, beside[beside["method"] == method])
            layer_axis(ax)
            ax.set(xlabel="", ylim=(low, high))
    for ax in axes[:-1].flat:
        ax.tick_params(labelbottom=False)
    for ax in axes[-1]:
        ax.set_xlabel(LAYERS_USED.replace(" (", "\n("))
    for ax, look in zip(axes[:, 0], drawn.values(), strict=True):
        ax.set_ylabel(look.label.replace(", ", ",\n"))
    figure.suptitle(f"{family(points['backbone'].iloc[0])}: every method, the others in grey", weight="bold")
    annotate(figure, _fine_print(points, set(drawn)))
    return figure


def _fine_print(points: pd.DataFrame, drawn: set[str]) -> str:
    """What stands below the small multiples."""
    marks = {
        "static": "diamond: static",
        "distilbert": "star: distilled",
        "pkd": "plus: PKD",
        "tinybert": "cross: TinyBERT",
    }
    named = ", ".join(text for method, text in marks.items() if method in set(points["method"]))
    note = f"Vertical: the metric above each column. Points: single runs; {named}. Line: mean; black line: truncated "
    note += "depth at equal cost, dots: the same exits dealt at random, circle: oracle of the same model, dash at 0: "
    return f"{note}constant answer; {band_note(points[points['method'].isin(drawn)])} {source(points)}"


def _draw_one(
    ax: Axes, by_method: dict[str, pd.DataFrame], lines: Curves, method: str, look: Look, others: list[str]
) -> None:
    for other in others:
        for curve, _ in curves_of(lines, by_method[other]) if other in by_method else ():
            ax.plot(*curve[["x", "mean"]].to_numpy().T, **TRUNCATED)
    if method in by_method:
        plot_points(ax, by_method[method], look)
        for curve, _ in curves_of(lines, by_method[method]):
            draw_curve(ax, curve, look)
    _draw_marks(ax, by_method, MARKS | OTHER_MARKS)


def _draw_references(ax: Axes, references: pd.DataFrame) -> None:
    """The references of one method and panel, each setting's mean over seeds."""
    means = references.groupby(["reference", "variant", "knob_value"], dropna=False)[["layer_fraction", "value"]].mean()
    by_name = dict(list(means.sort_values("layer_fraction").groupby(level="reference")))
    for name in filter(by_name.__contains__, REFERENCES):
        ax.plot(*by_name[name].to_numpy().T, zorder=1.6, **REFERENCES[name])


def group_curves(curves: pd.DataFrame) -> Curves:
    """The mean curves of curves.csv on the grid, each with its variant, by backbone, task, split and method."""
    curves = curves[curves["resolution"] == "grid"].sort_values("x", kind="stable")
    grouped: Curves = {}
    for (*key, variant), curve in curves.groupby([*KEYS, "variant"]):
        grouped.setdefault(tuple(key), []).append((variant, curve))
    return grouped


def curves_of(curves: Curves, rows: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """The mean curves of the method and panel that rows of points.csv belong to, each with the rows it is a mean of."""
    for variant, curve in curves.get(tuple(rows[key].iloc[0] for key in KEYS), ()):
        yield curve, rows[rows["variant"] == variant] if variant else rows


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


def _draw_truncated(ax: Axes, by_method: dict[str, pd.DataFrame]) -> None:
    if "truncated" in by_method:
        depth = by_method["truncated"].groupby("knob_value")[["layer_fraction", "value"]].mean()
        ax.plot(*depth.to_numpy().T, **TRUNCATED)


def _draw_marks(ax: Axes, by_method: dict[str, pd.DataFrame], marks: dict[str, dict]) -> None:
    for method, marker in marks.items():
        if method in by_method:
            ax.plot(*by_method[method][["layer_fraction", "value"]].mean(), **marker)
