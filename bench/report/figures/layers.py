"""What DeeBERT's and DACT's halting rules see layer by layer, for three examples: the figure of layers.csv."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.looks import COLORS, Look, narrow_title, panels
from bench.report.figures.page import key_of, new_figure, seeds_by_panel, surround
from bench.report.figures.setting import check_room, fitted_width
from bench.report.numbers import spread
from bench.tables.columns import taus

EXAMPLES = {
    "earliest": Look("earliest exit", COLORS[0], "o", "-"),
    "median": Look("median exit", COLORS[1], "s", "--"),
    "latest": Look("latest exit", COLORS[2], "^", ":"),
}
QUANTITIES = {
    "entropy": "DeeBERT:\nentropy (nats)",
    "h": "DACT:\nhalting value h",
    "p": "DACT:\nweight left, p",
}


def layers(table: pd.DataFrame) -> Figure | None:
    """What halting rules see by layer on one backbone, for the examples that exit early, in the middle and late.

    Args:
        table: rows of layers.csv of one backbone.

    Returns:
        The figure; None without DeeBERT and DACT models.
    """
    table = table[~table["variant"].str.contains("tau") | (table["variant"] == middle_tau(table))]
    shown = [name for name in QUANTITIES if name in set(table["quantity"])]
    if not shown:
        return None
    check_room(len(shown), 1)
    groups = panels(table)
    figure = new_figure(fitted_width(2.1 * len(shown)), 0.95 * len(groups) + 1)
    axes = figure.subplots(len(groups), len(shown), squeeze=False, sharex=True)
    for row, rows in zip(axes, groups, strict=True):
        for ax, name in zip(row, shown, strict=True):
            _draw_quantity(ax, rows[rows["quantity"] == name])
        row[0].set_ylabel(narrow_title(rows))
    for ax, name in zip(axes[0], shown, strict=True):
        ax.set_title(QUANTITIES[name])
    depth = int(table["layer"].max())
    for ax in axes[-1]:
        ax.set(xlabel="layer", xticks=[1, depth // 2, depth])
    _finish_layers(figure, table)
    return figure


def middle_tau(table: pd.DataFrame) -> str:
    """The one tau in the figure of layers: the middle one of a table's DACT models; empty where there is none."""
    dact = table[table["method"] == "dact"]
    variants = dact.assign(tau=taus(dact["variant"])).dropna(subset="tau").sort_values("tau")["variant"].unique()
    return variants[len(variants) // 2] if len(variants) else ""


def _draw_quantity(ax: Axes, rows: pd.DataFrame) -> None:
    for example, look in EXAMPLES.items():
        values = rows[rows["example"] == example].pivot(index="layer", columns="seed", values="value")
        ax.plot(values.index, values, color=look.color, alpha=0.35, linewidth=0.5)
        ax.plot(values.index, values.mean(axis=1), **look.line())
    ax.set_ylim(bottom=-0.05, top=max(1.05, ax.get_ylim()[1]))


def _finish_layers(figure: Figure, table: pd.DataFrame) -> None:
    named = middle_tau(table).replace("tau=", "DACT at τ = ")
    note = (
        "The examples that exit earliest, in the middle and latest, on average over the models of the same method. "
        f"Thick: mean over {spread(seeds_by_panel(table))}, thin: single seeds, "
        f"no interval drawn. {f'{named}. ' if named else ''}"
    )
    surround(figure, table, "what the halting rules see", key_of(EXAMPLES), note)
