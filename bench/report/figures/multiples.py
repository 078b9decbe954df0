"""The figure `methods`: every method on its own in a row of panels with its reference curves, a column per task."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.curves import Curves, curves_of, draw_curve, draw_marks, group_curves
from bench.report.figures.looks import (
    MARKS,
    OTHER_MARKS,
    REFERENCES,
    TRUNCATED,
    Look,
    family,
    metric,
    panels,
    plot_points,
    swept,
    title,
)
from bench.report.figures.page import LAYERS_USED, TEXT_WIDTH, annotate, band_note, data_note, layer_axis


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
    """The note below the figure: its marks, lines and bands."""
    marks = {
        "static": "diamond: static",
        "distilbert": "star: distilled",
        "pkd": "plus: PKD",
        "tinybert": "cross: TinyBERT",
    }
    named = ", ".join(text for method, text in marks.items() if method in set(points["method"]))
    note = f"Vertical: the metric above each column. Points: single runs; {named}. Line: mean; black line: truncated "
    note += "depth at equal cost, dots: the same exits dealt at random, circle: oracle of the same model, dash at 0: "
    return f"{note}constant answer; {band_note(points[points['method'].isin(drawn)])} {data_note(points)}"


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
    draw_marks(ax, by_method, MARKS | OTHER_MARKS)


def _draw_references(ax: Axes, references: pd.DataFrame) -> None:
    """The references of one method and panel, each setting's mean over seeds."""
    means = references.groupby(["reference", "variant", "knob_value"], dropna=False)[["layer_fraction", "value"]].mean()
    by_name = dict(list(means.sort_values("layer_fraction").groupby(level="reference")))
    for name in filter(by_name.__contains__, REFERENCES):
        ax.plot(*by_name[name].to_numpy().T, zorder=1.6, **REFERENCES[name])
