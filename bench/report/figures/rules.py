"""What halting rules see layer by layer, and DACT's bounds compared."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.figures.figure3 import is_tau, tau
from bench.report.figures.looks import COLORS, Look, family, metric, panels, title
from bench.report.figures.page import TEXT_WIDTH, annotate, heading_and_key, source, spread

EXAMPLES = {"earliest": ("o", "-"), "median": ("s", "--"), "latest": ("^", ":")}
QUANTITIES = {
    "entropy": "DeeBERT: entropy (nats)",
    "h": "DACT: halting value h (0 to 1)",
    "p": "DACT: weight left, p (0 to 1)",
}
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
    groups = list(panels(table))
    figure = Figure(figsize=(max(TEXT_WIDTH / 2, 2.1 * len(shown)), 0.95 * len(groups) + 1), layout="constrained")
    axes = figure.subplots(len(groups), len(shown), squeeze=False, sharex=True)
    for row, (_, _, rows) in zip(axes, groups, strict=True):
        for ax, name in zip(row, shown, strict=True):
            _draw_quantity(ax, rows[rows["quantity"] == name])
        row[0].set_ylabel(title(rows.iloc[0]).replace(", ", ",\n"))
    for ax, name in zip(axes[0], shown, strict=True):
        ax.set_title(QUANTITIES[name])
    depth = int(table["layer"].max())
    for ax in axes[-1]:
        ax.set(xlabel="layer", xticks=[1, depth // 2, depth])
    _finish_layers(figure, table)
    return figure


def middle_tau(table: pd.DataFrame) -> str:
    """The variant with the middle tau of a table's DACT models; empty where there is none."""
    variants = sorted(table.loc[is_tau(table), "variant"].unique(), key=tau)
    return variants[len(variants) // 2] if variants else ""


def _draw_quantity(ax: Axes, rows: pd.DataFrame) -> None:
    for i, (example, (marker, dashes)) in enumerate(EXAMPLES.items()):
        values = rows[rows["example"] == example].pivot(index="layer", columns="seed", values="value")
        ax.plot(values.index, values, color=COLORS[i], alpha=0.35, linewidth=0.5)
        ax.plot(values.index, values.mean(axis=1), **Look(example, COLORS[i], marker, dashes).line())
    ax.set_ylim(bottom=-0.05, top=max(1.05, ax.get_ylim()[1]))


def _finish_layers(figure: Figure, table: pd.DataFrame) -> None:
    handles = [
        Line2D([], [], label=f"{example} exit", **Look(example, COLORS[i], marker, dashes).line())
        for i, (example, (marker, dashes)) in enumerate(EXAMPLES.items())
    ]
    heading = f"{family(table['backbone'].iloc[0])}: what the halting rules see"
    heading_and_key(figure, heading, handles)
    named = middle_tau(table).replace("tau=", "DACT at τ = ")
    note = "The examples that exit earliest, in the middle and latest, on average over all methods. "
    note += f"Thick: mean over {spread(table.groupby(['task', 'split'])['seed'].nunique())}, thin: single seeds, "
    annotate(figure, f"{note}no interval drawn. {f'{named}. ' if named else ''}{source(table)}")


def bounds(table: pd.DataFrame) -> Figure | None:
    """DACT's halting bounds on one backbone against tau: what they cost, change and lose.

    Args:
        table: rows of bounds.csv of one backbone.

    Returns:
        The figure; None without DACT models that differ in tau alone.
    """
    table = table[is_tau(table.assign(method="dact"))]
    if not len(table):
        return None
    groups = list(panels(table.assign(tau=table["variant"].map(tau))))
    size = (max(TEXT_WIDTH / 2, min(TEXT_WIDTH, 1.1 * len(groups) + 0.4)), 1.1 * len(BOUND_ROWS) + 1)
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
    annotate(figure, f"{note}over {seeds}, no interval drawn. {source(table)}")
    return figure
