"""Exit layer against known difficulty."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.figures.look import Look, looks, title
from bench.figures.page import annotate, blocks, interval_note, source
from bench.statistics import nearest_in_x, t_interval

BUDGET = 0.5  # fraction of layers at which methods are compared


def difficulty(knobs: pd.DataFrame, difficulties: pd.DataFrame, ranks: pd.DataFrame) -> Figure | None:
    """Mean exit layer against known difficulty, every method at the knob that costs nearest to half of the layers.

    Args:
        knobs: knobs.csv.
        difficulties: difficulty.csv.
        ranks: difficulty_rank.csv.

    Returns:
        The figure; None where no difficulty is known.
    """
    drawn = looks(set(ranks["method"]))
    knobs = knobs[knobs["method"].isin(drawn)]
    if not len(knobs):
        return None

    def draw_panel(ax: Axes, rows: pd.DataFrame) -> None:
        for method, group in rows.groupby("method", sort=False):
            at = group.iloc[nearest_in_x(np.array([BUDGET]), group["layer_fraction"].to_numpy())[0]]
            rank = same_setting(ranks, at)["spearman"]
            said = f"{drawn[method].label}: {rank.iloc[0]:+.2f}" if len(rank) else drawn[method].label
            draw_seeds(ax, same_setting(difficulties, at), "difficulty", "mean_exit_layer", drawn[method], said)
        ax.set(title=title(rows.iloc[0]), xlabel="difficulty (steps)", ylabel="mean exit layer")
        ax.xaxis.get_major_locator().set_params(integer=True)
        head_room(ax, len(rows["method"].unique()))

    figure = blocks(knobs, draw_panel)
    note = (
        "Every method at the knob whose mean cost is nearest to half of the layers. Beside its name: Spearman's rank "
    )
    note += f"correlation of exit layer and difficulty there, mean over seeds. {interval_note(knobs['seeds'])}"
    annotate(figure, f"{note} {source(knobs)}")
    return figure


def same_setting(table: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    """The rows of a table of the same panel, method, variant and knob as `row`."""
    here = np.isclose(table["knob_value"], row["knob_value"])
    for key in ("task", "split", "backbone", "method", "variant"):
        here &= table[key] == row[key]
    return table[here]


def draw_seeds(ax: Axes, rows: pd.DataFrame, x: str, y: str, look: Look, label: str) -> None:
    """Mean over seeds of a column against another, with 95 % Student-t intervals where there are several seeds."""
    table = rows.pivot(index="seed", columns=x, values=y)
    mean, low, high = t_interval(table.to_numpy())
    ax.plot(table.columns, mean, label=label, **look.line())
    ax.vlines(table.columns, low, high, color=look.color, linewidth=0.7)


def head_room(ax: Axes, lines: int) -> None:
    """A key of some lines at the top of the panel, with room for it above what is drawn."""
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + (high - low) * 0.17 * lines)
    ax.legend(loc="upper left", fontsize=6, handlelength=2, borderaxespad=0, labelspacing=0.1)
