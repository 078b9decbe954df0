"""Layers spent on what nobody can answer: a forest plot of undecidable.csv."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.looks import looks, narrow_title
from bench.report.figures.page import entry, forest, new_figure, surround, task_columns
from bench.report.figures.setting import check_room, fitted_width
from bench.report.numbers import spread

LEAST = 0.75  # inches of a panel
SEEDS = {"linewidth": 2.2, "alpha": 0.5}


def undecidable(table: pd.DataFrame) -> Figure | None:
    """How many layers sooner each method leaves undecidable examples than hard ones, on one backbone.

    A panel per task and, of several, one for their mean; a row per method.

    Args:
        table: rows of undecidable.csv of one backbone.

    Returns:
        The figure; None where no method could be matched.
    """
    table = table.dropna(subset="difference")
    if not len(table):
        return None
    columns = task_columns(table)
    check_room(len(columns), LEAST)
    look = looks(table["method"])
    figure = new_figure(fitted_width(0.9 * len(columns) + 0.9), 0.14 * len(look) + 1.5)
    axes = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
    for ax, rows in zip(axes, columns, strict=True):
        _draw_methods(ax, rows.set_index("method"), list(look))
        ax.set_title(narrow_title(rows))
    axes[0].set_yticks(range(len(look)), [each.label for each in look.values()])
    axes[0].invert_yaxis()
    handles = [entry("95 % over seeds; over tasks in their mean (Student-t)", color="black", **SEEDS)]
    seeds = spread(table.loc[table["task"] != "mean", "units"])
    costs = "the costs of DACT's models between .25 and .75" if "dact" in look else ".25, .5 and .75"
    note = (
        "Horizontal: mean exit layer of the hard half of the decidable examples minus that of the undecidable ones; "
        "right of 0 a method gives up early. "
        f"At {costs} of the layers, each method at its exact setting nearest in cost; {seeds}. "
    )
    surround(figure, table, "layers spent on what nobody can answer", handles, note)
    return figure


def _draw_methods(ax: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    forest(ax, rows, methods, "difference", {"difference": SEEDS})
    ax.axvline(0, color="black", linewidth=0.6)
    ax.set_xlabel("layers")
