"""Layers spent on what nobody can answer: a forest plot of undecidable.csv."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.figures.looks import family, looks, panels, title
from bench.report.figures.page import annotate, data_note, heading_and_key
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
    tasks = [rows for _, _, rows in panels(table[table["task"] != "mean"])]
    mean = table[table["task"] == "mean"]  # not there where only some panels are wanted
    columns = [*tasks, mean] if len(tasks) > 1 and len(mean) else tasks
    check_room(len(columns), LEAST)
    look = looks(table["method"])
    figure = Figure(figsize=(fitted_width(0.9 * len(columns) + 0.9), 0.14 * len(look) + 1.3), layout="constrained")
    axes = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
    for ax, rows in zip(axes, columns, strict=True):
        _draw_methods(ax, rows.set_index("method"), list(look))
        is_mean = rows["task"].iloc[0] == "mean"
        ax.set_title("mean\nover\ntasks" if is_mean else title(rows.iloc[0]).replace(", ", ",\n"))
    axes[0].set_yticks(range(len(look)), [each.label for each in look.values()])
    axes[0].invert_yaxis()
    handles = [Line2D([], [], color="black", label="95 % over seeds; over tasks in their mean (Student-t)", **SEEDS)]
    heading_and_key(figure, f"{family(table['backbone'].iloc[0])}: layers spent on what nobody can answer", handles)
    seeds = spread(table.loc[table["task"] != "mean", "units"])
    note = "Horizontal: mean exit layer of the hard half of the decidable examples minus that of the undecidable ones; "
    note += "right of 0 a method gives up early. At the costs of DACT's models between .25 and .75 of the layers, "
    note += f"each method at its exact setting nearest in cost; {seeds}. {data_note(table)}"
    annotate(figure, note)
    return figure


def _draw_methods(ax: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    look = looks(methods)
    for y, method in enumerate(methods):
        if method in rows.index:
            row, color = rows.loc[method], look[method].color
            ax.hlines(y, row["difference_low"], row["difference_high"], color=color, **SEEDS)
            ax.plot(row["difference"], y, color=color, marker=look[method].marker, markersize=3)
    ax.axvline(0, color="black", linewidth=0.6)
    ax.set(ylim=(-0.7, len(methods) - 0.3), xlabel="layers")
    ax.xaxis.get_major_locator().set_params(nbins=3, prune="both")  # labels at an edge would touch the neighbour's
    ax.grid(axis="y", visible=False)
