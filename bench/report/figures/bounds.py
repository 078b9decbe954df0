"""DACT's halting bounds against tau: what they cost, change and lose: the figure of bounds.csv."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.figures.looks import COLORS, Look, family, metric, panels, title
from bench.report.figures.page import annotate, data_note, heading_and_key
from bench.report.figures.setting import check_room, fitted_width
from bench.report.numbers import spread
from bench.tables.columns import taus

BOUNDS = {
    ("paper", 0.0): Look("paper, Eq. 2", COLORS[0], "o", "-"),
    ("exact", 0.0): Look("exact", COLORS[1], "s", "--"),
    ("exact", 0.05): Look("exact, ε = .05", COLORS[2], "^", "-."),
    ("exact", 0.1): Look("exact, ε = .1", COLORS[3], "d", ":"),
    ("exact", 0.2): Look("exact, ε = .2", COLORS[4], "v", (0, (5, 1, 1, 1, 1, 1))),
    ("exact", 0.5): Look("exact, ε = .5", COLORS[5], "<", (0, (3, 1))),
}
BOUND_ROWS = {
    "layer_fraction": "layers used\n(fraction)",
    "changed": "answers changed\n(fraction)",
    "value": "metric,\nsee above",
}


def bounds(table: pd.DataFrame) -> Figure | None:
    """DACT's halting bounds on one backbone against tau: what they cost, change and lose.

    Args:
        table: rows of bounds.csv of one backbone.

    Returns:
        The figure; None without DACT models that differ in tau alone.
    """
    table = table.assign(tau=taus(table["variant"])).dropna(subset="tau")
    if not len(table):
        return None
    groups = list(panels(table))
    check_room(len(groups), 0.8)
    size = (fitted_width(1.1 * len(groups) + 0.4), 1.1 * len(BOUND_ROWS) + 1)
    figure = Figure(figsize=size, layout="constrained")
    most = max(0.01, table.groupby(["task", "split", "variant", "bound", "eps"])["changed"].mean().max())
    axes = figure.subplots(len(BOUND_ROWS), len(groups), squeeze=False, sharex=True)
    for column, (_, _, rows) in zip(axes.T, groups, strict=True):
        column[0].set_title(f"{title(rows.iloc[0])}\n{metric(rows)}".replace(", ", ",\n"))
        for ax, quantity in zip(column, BOUND_ROWS, strict=True):
            for (bound, eps), look in BOUNDS.items():
                here = rows[(rows["bound"] == bound) & np.isclose(rows["eps"], eps)]
                ax.plot(*here.groupby("tau")[quantity].mean().reset_index().to_numpy().T, **look.line())
            ax.set_xscale("log")
        column[1].set_ylim(-0.02 * most, 1.05 * most)
        column[-1].set_xlabel("DACT's τ")
    for ax, label in zip(axes[:, 0], BOUND_ROWS.values(), strict=True):
        ax.set_ylabel(label)
    handles = [Line2D([], [], label=look.label, **look.line()) for look in BOUNDS.values()]
    heading = f"{family(table['backbone'].iloc[0])}: DACT's bound, exact or loose"
    heading_and_key(figure, heading, handles)
    seeds = spread(table.groupby(["task", "split"])["seed"].nunique())
    note = "Paper and exact keep every answer; ε lets the guaranteed margin fall short of 0 by that much. Mean "
    annotate(figure, f"{note}over {seeds}, no interval drawn. {data_note(table)}")
    return figure
