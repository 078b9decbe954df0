"""Areas under the curves of all methods, with both intervals: over seeds, and over examples."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.looks import looks, metric, narrow_title
from bench.report.figures.page import entry, forest, new_figure, surround, task_columns
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
    columns = task_columns(table)
    check_room(len(columns), LEAST)
    methods = [by_value(columns, area) for area in shown]
    width = fitted_width(0.9 * len(columns) + 0.9)
    heights = [len(names) + 2 for names in methods]
    fine_print = 1 + 0.6 * max(0, TEXT_WIDTH - width) / (TEXT_WIDTH / 2)  # key and note need more lines if narrow
    figure = new_figure(width, 0.13 * sum(heights) + fine_print)
    axes = figure.subplots(len(shown), len(columns), squeeze=False, sharey="row", height_ratios=heights)
    for row, area, names in zip(axes, shown, methods, strict=True):
        for ax, rows in zip(row, columns, strict=True):
            _draw_forest(ax, rows.set_index("method"), area, names)
        row[0].set_ylabel(AREAS[area])
        row[0].set_yticks(range(len(names)), [looks([name])[name].label for name in names])
        row[0].invert_yaxis()
    for ax, rows in zip(axes[0], columns, strict=True):
        ax.set_title(narrow_title(rows, metric(rows)))
    _finish(figure, table)
    return figure


def by_value(columns: list[pd.DataFrame], area: str) -> list[str]:
    """The rows of the plot of areas: methods that have one in some column, by the last one's value, largest first."""
    marked = pd.concat(columns[::-1]).dropna(subset=area)["method"]
    last = columns[-1].dropna(subset=area).sort_values(area, ascending=False, kind="stable")["method"]
    return list(dict.fromkeys([*last, *marked]))


def _draw_forest(ax: Axes, rows: pd.DataFrame, area: str, methods: list[str]) -> None:
    forest(ax, rows, methods, area, {area: SEEDS, f"{area}_boot": EXAMPLES})
    if not np.isfinite(rows[area].astype(float)).any():
        ax.set_xticks([])
        ax.text(0.5, 0.5, "no shared\nrange", ha="center", va="center", transform=ax.transAxes)


def _finish(figure: Figure, table: pd.DataFrame) -> None:
    handles = [
        entry("95 % over seeds (Student-t)", color="black", **SEEDS),
        entry("95 % over examples (bootstrap)", color="black", **EXAMPLES),
    ]
    seeds = spread(table["seeds"])
    over = "one seed, no interval" if seeds == "one seed" else f"{seeds}, conditional on this validation set"
    note = (
        f"Horizontal: mean height of the curve, in the metric above each column. Over seeds: {over}; over examples: "
        "conditional on the trained models. Order: the last column. "
    )
    columns = 2 if figure.get_figwidth() > 0.7 * TEXT_WIDTH else 1
    surround(figure, table, "areas under the curves", handles, note, columns)
