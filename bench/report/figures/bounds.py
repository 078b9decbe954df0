"""DACT's halting bounds against tau: what they cost, change and lose: the figure of bounds.csv."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.report.figures.looks import COLORS, Look, metric, narrow_title, panels
from bench.report.figures.page import key_of, new_figure, seeds_by_panel, surround
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
    groups = panels(table)
    check_room(len(groups), 0.8)
    figure = new_figure(fitted_width(1.1 * len(groups) + 0.4), 1.1 * len(BOUND_ROWS) + 1)
    most = max(0.01, table.groupby(["task", "split", "variant", "bound", "eps"])["changed"].mean().max())
    axes = figure.subplots(len(BOUND_ROWS), len(groups), squeeze=False, sharex=True)
    for column, rows in zip(axes.T, groups, strict=True):
        column[0].set_title(narrow_title(rows, metric(rows)))
        for ax, quantity in zip(column, BOUND_ROWS, strict=True):
            for (bound, eps), look in BOUNDS.items():
                here = rows[(rows["bound"] == bound) & np.isclose(rows["eps"], eps)]
                ax.plot(*here.groupby("tau")[quantity].mean().reset_index().to_numpy().T, **look.line())
            ax.set_xscale("log")
        column[1].set_ylim(-0.02 * most, 1.05 * most)
        column[-1].set_xlabel("DACT's τ")
    for ax, label in zip(axes[:, 0], BOUND_ROWS.values(), strict=True):
        ax.set_ylabel(label)
    note = (
        "Paper and exact keep every answer; ε lets the guaranteed margin fall short of 0 by that much. Mean "
        f"over {spread(seeds_by_panel(table))}, no interval drawn. "
    )
    surround(figure, table, "DACT's bound, exact or loose", key_of(BOUNDS), note)
    return figure
