"""What a guarantee costs, and what the choice without one breaks: the figure of risk.csv."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.looks import COLORS, Look, drawn_methods, looks, panels, title
from bench.report.figures.page import key_of, new_figure, surround
from bench.report.figures.setting import column_width
from bench.report.numbers import spread

RISK, DELTA = "quality", 0.05
MOST = 4  # rows
PROCEDURES = {
    "naive": Look("naive choice", COLORS[3], "o", "-"),
    "crc": Look("conformal: mean risk", COLORS[1], "s", "--"),
    "ltt": Look("Learn then Test, δ = .05", COLORS[0], "^", "-."),
}
QUANTITIES = {"broken": "splits broken\n(fraction)", "layer_fraction": "layers used\n(fraction)"}


def risk(table: pd.DataFrame) -> Figure | None:
    """Broken promises and cost against the tolerated risk, a row per method, on one backbone.

    Args:
        table: rows of risk.csv of one backbone.

    Returns:
        The figure; None where nothing could be chosen.
    """
    rows = table[(table["risk"] == RISK) & ((table["procedure"] != "ltt") | (table["delta"] == DELTA))]
    drawn, left_out = drawn_methods(rows["method"], MOST)
    rows = rows[rows["method"].isin(drawn)]
    if not rows["broken"].notna().any():
        return None
    drawn = looks(set(rows["method"]))
    figure = new_figure(column_width(), 1.05 * len(drawn) + 1.35)
    axes = figure.subplots(len(drawn), len(QUANTITIES), squeeze=False, sharex=True, sharey="col")
    for line, (method, look) in zip(axes, drawn.items(), strict=True):
        for ax, quantity in zip(line, QUANTITIES, strict=True):
            _draw(ax, rows[rows["method"] == method], quantity)
        line[0].set_ylabel(look.label, weight="bold")
    for ax, label in zip(axes[0], QUANTITIES.values(), strict=True):
        ax.set_title(label)
    for ax in axes[-1]:
        ax.set_xlabel("tolerated risk")
    tolerances = sorted(rows["tolerance"].dropna().unique())
    axes[0, 0].set_xticks(tolerances, [f"{value:g}".lstrip("0") for value in tolerances])
    axes[0, 0].set(xlim=(0, tolerances[-1] * 1.1), ylim=(-0.05, 1.05))
    tasks = ", ".join(title(group.iloc[0]).removesuffix(", generated") for group in panels(rows))
    seeds = spread(rows.groupby(["task", "split", "method"])["seed"].nunique())
    note = (
        "Risk: the static model is right and the early answer wrong. Mean over 100 splits, "
        f"{seeds} and tasks ({tasks}), no interval drawn; no mark: some task is too small to certify. Dotted: δ. "
    )
    surround(figure, rows, "a bounded risk", key_of(PROCEDURES), note + left_out, columns=1)
    return figure


def _draw(ax: Axes, rows: pd.DataFrame, quantity: str) -> None:
    for procedure, look in PROCEDURES.items():
        here = rows[rows["procedure"] == procedure]
        by_task = here.groupby(["task", "split", "tolerance"])[quantity].mean().unstack("tolerance")
        ax.plot(by_task.mean(skipna=False), clip_on=False, **look.line())
    if quantity == "broken":
        ax.axhline(DELTA, color="0.4", linewidth=0.7, linestyle=":")
