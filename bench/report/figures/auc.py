"""Areas under the curves of all methods, with both intervals: over seeds, and over examples."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.figures.looks import MARKS, family, looks, metric, panels, title
from bench.report.figures.page import TEXT_WIDTH, annotate, data_note, heading_and_key, spread
from bench.tables.columns import at_exact

AREAS = {"auc_common": "AUC over the\nshared range", "auc_budget": "AUC over\nbudgets"}
SEEDS = {"linewidth": 2.2, "alpha": 0.5}
EXAMPLES = {"linewidth": 0.7}


def areas(table: pd.DataFrame) -> Figure | None:
    """A forest plot on one backbone: a row of panels per area, a column per task and for their mean.

    Args:
        table: rows of auc.csv of one backbone.

    Returns:
        The figure; None where no method has an area.
    """
    table = at_exact(table).fillna({"split": "", "metric": ""})
    shown = [area for area in AREAS if table[area].notna().any()]
    if not shown:
        return None
    methods = list(looks(table["method"]))
    tasks = [rows for _, _, rows in panels(table[table["task"] != "mean"])]
    columns = [*tasks, table[table["task"] == "mean"]]
    width = max(TEXT_WIDTH / 2, min(TEXT_WIDTH, 0.9 * len(columns) + 0.9))
    fine_print = 1 + 0.6 * (TEXT_WIDTH - width) / (TEXT_WIDTH / 2)  # key and note need more lines in a narrow figure
    figure = Figure(figsize=(width, (0.13 * len(methods) + 0.3) * len(shown) + fine_print), layout="constrained")
    axes = figure.subplots(len(shown), len(columns), squeeze=False, sharey=True)
    for row, area in zip(axes, shown, strict=True):
        for ax, rows in zip(row, columns, strict=True):
            _draw_forest(ax, rows.set_index("method"), area, methods)
        row[0].set_ylabel(AREAS[area])
    for ax, rows in zip(axes[0], columns, strict=True):
        named = rows["task"].iloc[0] != "mean"
        ax.set_title(f"{title(rows.iloc[0])}\n{metric(rows)}".replace(", ", ",\n") if named else "mean\nover\ntasks")
    look = looks(methods)
    axes[0, 0].set_yticks(range(len(methods)), [look[method].label for method in methods])
    axes[0, 0].invert_yaxis()
    _finish(figure, table)
    return figure


def _draw_forest(ax: Axes, rows: pd.DataFrame, area: str, methods: list[str]) -> None:
    look = looks(methods)
    for y, method in enumerate(methods):
        if method in rows.index:
            row = rows.loc[method]
            mark = MARKS.get(method, {"color": look[method].color, "marker": look[method].marker, "markersize": 3})
            ax.hlines(y, row[f"{area}_low"], row[f"{area}_high"], color=mark["color"], **SEEDS)
            ax.hlines(y, row[f"{area}_boot_low"], row[f"{area}_boot_high"], color=mark["color"], **EXAMPLES)
            ax.plot(row[area], y, **mark)
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
    note += "conditional on the trained models; no mark: no run of it covers the range."
    annotate(figure, f"{note} {data_note(table)}")
