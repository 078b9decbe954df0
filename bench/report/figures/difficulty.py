"""Do harder examples exit later? Mean exit layer against known difficulty, every method near half of the layers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.curves import same_setting
from bench.report.figures.looks import Look, looks, title
from bench.report.figures.page import annotate, blocks, data_note, interval_note, number_key
from bench.statistics.curves import nearest_in_x
from bench.statistics.intervals import t_interval

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
        here = difficulties[difficulties["backbone"] == rows["backbone"].iloc[0]]
        depth = here["mean_exit_layer"].max()  # some model always uses all layers
        for i, (method, look) in enumerate(drawn.items()):
            offered = rows[(rows["method"] == method) & ((rows["layer_fraction"] - BUDGET).abs() <= 1 / depth)]
            if len(offered):
                at = offered.iloc[nearest_in_x(np.array([BUDGET]), offered["layer_fraction"].to_numpy())[0]]
                rank = same_setting(ranks, at)["spearman"]
                label = f"{rank.iloc[0]:+.2f}".replace("0.", ".") if len(rank) else "none"
                draw_seeds(ax, same_setting(here, at), look, label, depth, shift=0.08 * (i - (len(drawn) - 1) / 2))
        ax.set(title=title(rows.iloc[0]), xlabel="difficulty (steps)", ylabel="mean exit layer")
        # the room above is for the numbers
        ax.set(ylim=(0, depth * (1.12 + 0.13 * math.ceil(len(drawn) / 3))), yticks=[1, depth // 2, depth])
        ax.xaxis.get_major_locator().set_params(integer=True)
        if ax.lines:
            number_key(ax, columns=3)

    figure = blocks(knobs, draw_panel)
    note = (
        "Every method at the knob whose mean cost is nearest to half of the layers, where it is within a layer of "
        "it; a method without such a knob is absent. Numbers: Spearman's rank "
        "correlation of exit layer and difficulty there, mean over seeds; none: all exit at one layer. "
        f"{interval_note(knobs['seeds'])} Cut at the first and last layer. {data_note(knobs)}"
    )
    annotate(figure, note)
    return figure


def draw_seeds(ax: Axes, rows: pd.DataFrame, look: Look, label: str, depth: float, shift: float) -> None:
    """Mean exit layer over seeds against difficulty, with 95 % Student-t intervals where there are several seeds.

    Args:
        ax: where.
        rows: rows of difficulty.csv of one setting.
        look: how.
        label: what the key says.
        depth: the number of layers, where intervals are cut.
        shift: moves the method sideways, so that intervals of several do not cover each other.
    """
    table = rows.pivot(index="seed", columns="difficulty", values="mean_exit_layer")
    mean, low, high = t_interval(table.to_numpy())
    ax.plot(table.columns + shift, mean, label=label, **look.line())
    ax.vlines(table.columns + shift, low.clip(min=1), high.clip(max=depth), color=look.color, linewidth=0.7)
