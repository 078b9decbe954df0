"""Areas under the curves of all methods, with both intervals: over seeds, and over examples."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.figures.looks import MARKS, family, looks, metric, panels, title
from bench.report.figures.page import annotate, data_note, heading_and_key
from bench.report.figures.setting import TEXT_WIDTH, check_room, fitted_width
from bench.report.numbers import spread
from bench.tables.columns import at_exact

AREAS = {"auc_common": "AUC over the\nshared range", "auc_budget": "AUC over\nbudgets"}
SEEDS = {"linewidth": 2.2, "alpha": 0.5}
EXAMPLES = {"linewidth": 0.7}
LEAST = 0.75  # inches of a panel


def areas(table: pd.DataFrame) -> Figure | None:
    """A forest plot on one backbone: a row of panels per area, a column per task and, of several, for their mean.

    Args:
        table: rows of auc.csv of one backbone.

    Returns:
        The figure; None where no method has an area.
    """
    table = at_exact(table).fillna({"split": "", "metric": ""})
    shown = [area for area in AREAS if table[area].notna().any()]
    if not shown:
        return None
    tasks = [rows for _, _, rows in panels(table[table["task"] != "mean"])]
    mean = table[table["task"] == "mean"]
    columns = [*tasks, mean] if len(tasks) > 1 and len(mean) else tasks
    check_room(len(columns), LEAST)
    methods = [by_value(columns, area) for area in shown]
    width = fitted_width(0.9 * len(columns) + 0.9)
    heights = [len(names) + 2 for names in methods]
    fine_print = 1 + 0.6 * max(0, TEXT_WIDTH - width) / (TEXT_WIDTH / 2)  # key and note need more lines if narrow
    figure = Figure(figsize=(width, 0.13 * sum(heights) + fine_print), layout="constrained")
    axes = figure.subplots(len(shown), len(columns), squeeze=False, sharey="row", height_ratios=heights)
    for row, area, names in zip(axes, shown, methods, strict=True):
        for ax, rows in zip(row, columns, strict=True):
            _draw_forest(ax, rows.set_index("method"), area, names)
        row[0].set_ylabel(AREAS[area])
        row[0].set_yticks(range(len(names)), [looks([name])[name].label for name in names])
        row[0].invert_yaxis()
    for ax, rows in zip(axes[0], columns, strict=True):
        named = rows["task"].iloc[0] != "mean"
        ax.set_title(f"{title(rows.iloc[0])}\n{metric(rows)}".replace(", ", ",\n") if named else "mean\nover\ntasks")
    _finish(figure, table)
    return figure


def by_value(columns: list[pd.DataFrame], area: str) -> list[str]:
    """The rows of the plot of areas: methods that have one in some column, by the last one's value, largest first."""
    marked = pd.concat(columns[::-1]).dropna(subset=area)["method"]
    last = columns[-1].dropna(subset=area).sort_values(area, ascending=False, kind="stable")["method"]
    return list(dict.fromkeys([*last, *marked]))


def _draw_forest(ax: Axes, rows: pd.DataFrame, area: str, methods: list[str]) -> None:
    look = looks(methods)
    for y, method in enumerate(methods):
        if method in rows.index:
            row = rows.loc[method]
            mark = MARKS.get(method, {"color": look[method].color, "marker": look[method].marker, "markersize": 3})
            ax.hlines(y, row[f"{area}_low"], row[f"{area}_high"], color=mark["color"], **SEEDS)
            ax.hlines(y, row[f"{area}_boot_low"], row[f"{area}_boot_high"], color=mark["color"], **EXAMPLES)
            ax.plot(row[area], y, **mark)
    ax.set_ylim(-0.7, len(methods) - 0.3)
    ax.xaxis.get_major_locator().set_params(nbins=3, prune="both")  # labels at an edge would touch the neighbour's
    ax.grid(axis="y", visible=False)
    if not np.isfinite(rows[area].astype(float)).any():
        ax.set_xticks([])
        ax.text(0.5, 0.5, "no shared\nrange", ha="center", va="center", transform=ax.transAxes)


def _finish(figure: Figure, table: pd.DataFrame) -> None:
    heading = f"{family(table['backbone'].iloc[0])}: areas under the curves"
    handles = [
        Line2D([], [], color="black", label="95 % over seeds (Student-t)", **SEEDS),
        Line2D([], [], color="black", label="95 % over examples (bootstrap)", **EXAMPLES),
    ]
    heading_and_key(figure, heading, handles, columns=2 if figure.get_figwidth() > 0.7 * TEXT_WIDTH else 1)
    seeds = spread(table["seeds"])
    over = "one seed, no interval" if seeds == "one seed" else f"{seeds}, conditional on this validation set"
    note = f"Horizontal: mean height of the curve, in the metric above each column. Over seeds: {over}; over examples: "
    note += "conditional on the trained models. Order: the last column."
    annotate(figure, f"{note} {data_note(table)}")
