"""How deep are the tasks? What each layer is worth here, beside BERT-base on GLUE: the figure of depth.csv."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.figures.looks import COLORS, narrow_title, panels
from bench.report.figures.page import LAYERS_USED, entry, fill, layer_axis, new_figure, surround
from bench.report.figures.setting import fitted_width, page_width
from bench.report.numbers import spread
from bench.statistics.depth import profile_gap
from bench.tables.published_depth import FINE_TUNED, FROZEN, JOINT, published

SIDE_BY_SIDE, NARROWEST = 3, 1.6
HERE = {
    FROZEN: {"color": COLORS[0], "marker": "o", "linestyle": "-", "markersize": 2.5},
    JOINT: {"color": COLORS[2], "marker": "^", "linestyle": "-", "markersize": 2.5},
    FINE_TUNED: {"color": COLORS[3], "marker": "s", "linestyle": "none", "markersize": 4},
}
GLUE = {
    FROZEN: {"color": "black", "linestyle": "--", "linewidth": 0.8},
    JOINT: {"color": "black", "linestyle": ":", "linewidth": 0.8},
    FINE_TUNED: {"color": "black", "marker": "s", "linestyle": "none", "markersize": 5, "markerfacecolor": "none"},
}
WORDS = {FROZEN: "frozen backbone", JOINT: "trained with all exits", FINE_TUNED: "cut and fine-tuned"}
#: Where a panel says how far a profile is from the published one; two layers are too few to say it.
GAP_AT = {FROZEN: 0.04, JOINT: 0.12}


def depth(table: pd.DataFrame) -> Figure | None:
    """The profile of each task on one backbone and, in black, the published one of BERT-base.

    Args:
        table: rows of depth.csv of one backbone.

    Returns:
        The figure; None where no layer's worth is known.
    """
    table = table[table["share"].notna() & (table["split"] != "validation_mismatched")]
    if not len(table):
        return None
    groups = panels(table)
    columns = min(SIDE_BY_SIDE, len(groups), max(1, int(page_width() / NARROWEST)))
    figure = new_figure(fitted_width(2.33 * columns), 1.5 * math.ceil(len(groups) / columns) + 1.0)
    fill(figure, groups, columns, _draw, LAYERS_USED, "share of the gain")
    note = (
        "Gain of a layer's answers over the constant one, as a share of the whole model's; below it 0. Mean over "
        f"{spread(table['seeds'])}, no interval drawn. Published: one training, read off a figure. Gap: mean "
        "difference of the two profiles at 1, 2, 3, 4, 6 and 9 twelfths of the layers. "
    )
    surround(figure, table, "what each layer is worth", _key(table), note)
    return figure


def _draw(ax: Axes, rows: pd.DataFrame) -> None:
    task, split = rows[["task", "split"]].iloc[0]
    for name, here in rows.groupby("profile", sort=False):
        x, shares = here["layer_fraction"].to_numpy(), here["share"].to_numpy()
        last = -1 if name == FINE_TUNED else None  # its full depth is the frozen model's
        ax.plot(x[:last], shares[:last], clip_on=False, **HERE[name])
        if (found := published(task, split, name)) is not None:
            ax.plot(*(values[:last] for values in found), clip_on=False, **GLUE[name])
            if name in GAP_AT:
                gap = f"{name}: gap {profile_gap(x, shares, *found):.2f}".replace("0.", ".")
                ax.text(0.97, GAP_AT[name], gap, transform=ax.transAxes, ha="right", fontsize=6)
    ax.set_title(narrow_title(rows))
    ax.set_ylim(-0.03, 1.1)
    layer_axis(ax)
    ax.set_xlabel("")


def _key(table: pd.DataFrame) -> list[Line2D]:
    """What is drawn: the profiles of the run, then the published ones of its tasks."""
    drawn = [name for name in WORDS if name in set(table["profile"])]
    handles = [entry(f"here: {WORDS[name]}", **HERE[name]) for name in drawn]
    known = table[["task", "split", "profile"]].drop_duplicates().itertuples(index=False)
    real = {row.profile for row in known if published(*row) is not None}
    return handles + [entry(f"GLUE: {WORDS[name]}", **GLUE[name]) for name in drawn if name in real]
