"""The figure `methods`: every method on its own in a row of panels with its reference curves, a column per task."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.figures.curves import Curves, curves_of, draw_marks, draw_method, group_curves
from bench.report.figures.looks import (
    MARKS,
    OTHER_MARKS,
    REFERENCES,
    TRUNCATED,
    Look,
    looks,
    metric,
    narrow_title,
    panels,
    swept,
)
from bench.report.figures.page import LAYERS_USED, band_note, entry, layer_axis, new_figure, surround
from bench.report.figures.setting import TEXT_WIDTH, check_room, fitted_width

REFERENCE_LABELS = {
    "truncated": "truncated depth",
    "random": "exits at random",
    "oracle": "oracle",
    "constant": "constant answer",
}


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
    columns = panels(points[points["method"].isin([*drawn, *MARKS, *OTHER_MARKS])])
    check_room(len(columns), 0.8)
    width = fitted_width(1.1 * len(columns) + 0.4)
    # fine print and key need more lines in a narrow figure
    around = 1.3 + 0.7 * max(0, TEXT_WIDTH - width) / (TEXT_WIDTH / 2)
    figure = new_figure(width, 0.85 * len(drawn) + around)
    axes = figure.subplots(len(drawn), len(columns), squeeze=False)  # shared axes would take twice as long to draw
    lines = group_curves(curves)
    for column, rows in zip(axes.T, columns, strict=True):
        by_method = dict(list(rows.groupby("method")))
        beside = references.merge(rows[["task", "split"]].drop_duplicates())
        heights = pd.concat([rows["value"], beside["value"]])
        low, high = heights.min() - 0.03, heights.max() + 0.03
        column[0].set_title(narrow_title(rows, metric(rows)))
        for ax, (method, look) in zip(column, drawn.items(), strict=True):
            _draw_one(ax, by_method, lines, method, look, [other for other in drawn if other != method])
            _draw_references(ax, beside[beside["method"] == method])
            layer_axis(ax)
            ax.set(xlabel="", ylim=(low, high))
        column[-1].set_xlabel(LAYERS_USED.replace(" (", "\n("))
    for ax in axes[:-1].flat:
        ax.tick_params(labelbottom=False)
    for ax, look in zip(axes[:, 0], drawn.values(), strict=True):
        ax.set_ylabel(look.label.replace(", ", ",\n"))
    note = (
        "Vertical: the metric above each column. Points: single runs; line: mean of the exact curves, dotted where "
        "nothing was measured; truncated depth and the same exits dealt at random at equal cost; the oracle leaves "
        f"each example at the first exit of the same model that is right; "
        f"{band_note(points[points['method'].isin(drawn)])} "
    )
    surround(figure, points, "every method, the others in grey", _key(points), note, int(width / 1.5))
    return figure


def _key(points: pd.DataFrame) -> list[Line2D]:
    """What the black marks and lines of all panels are."""
    shown = [name for name in (*MARKS, *OTHER_MARKS) if name in set(points["method"])]
    handles = [entry(looks([name])[name].label, **(MARKS | OTHER_MARKS)[name]) for name in shown]
    return handles + [entry(REFERENCE_LABELS[name], **look) for name, look in REFERENCES.items()]


def _draw_one(
    ax: Axes, by_method: dict[str, pd.DataFrame], lines: Curves, method: str, look: Look, others: list[str]
) -> None:
    for other in others:
        for curve, _ in curves_of(lines, by_method[other]) if other in by_method else ():
            ax.plot(*curve[["x", "mean"]].to_numpy().T, **TRUNCATED)
    draw_method(ax, by_method, lines, method, look)
    draw_marks(ax, by_method, MARKS | OTHER_MARKS)


def _draw_references(ax: Axes, references: pd.DataFrame) -> None:
    """The references of one method and panel, each setting's mean over seeds."""
    means = references.groupby(["reference", "variant", "knob_value"], dropna=False)[["layer_fraction", "value"]].mean()
    by_name = dict(list(means.sort_values("layer_fraction").groupby(level="reference")))
    for name in filter(by_name.__contains__, REFERENCES):
        ax.plot(*by_name[name].to_numpy().T, zorder=1.6, **REFERENCES[name])
