"""The paper's Figure 3: the share of examples that use each layer, all methods at about equal cost."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.looks import Look, drawn_methods, looks, narrow_title, panels
from bench.report.figures.page import key_of, new_figure, number_key, seeds_of, surround
from bench.report.figures.setting import fitted_width, page_width
from bench.report.numbers import spread
from bench.statistics.curves import prunable_layers

MOST = 4  # methods whose numbers a panel has room for


def figure3(matched: pd.DataFrame) -> Figure | None:
    """The paper's Figure 3 on one backbone: rows are tasks, columns costs at which methods are compared.

    Args:
        matched: rows of matched.csv of one backbone.

    Returns:
        The figure; None without a method that chooses exits.
    """
    drawn, left_out = drawn_methods(matched["method"], MOST)
    if not drawn:
        return None
    matched = matched[matched["method"].isin(drawn)]
    by_tau = matched["at"].str.startswith("tau=").any()
    columns = fitting(sorted(matched["at"].unique(), key=number_of))
    groups = panels(matched)
    depth = int(matched["layer"].max())
    figure = new_figure(fitted_width(1.4 * len(columns)), 1.15 * len(groups) + 0.9)
    axes = figure.subplots(len(groups), len(columns), squeeze=False, sharex=True, sharey=True)
    for row, rows in zip(axes, groups, strict=True):
        row[0].set_ylabel(narrow_title(rows))
        for ax, column in zip(row, columns, strict=True):
            _draw_usage(ax, rows[rows["at"] == column])
    for ax, column in zip(axes[0], columns, strict=True):
        number = f"{number_of(column):g}"
        ax.set_title(f"τ = {number}" if by_tau else f"{number} of the layers".removeprefix("0"))
    for ax in axes[-1]:
        ax.set_xlabel("layer")
    # shared by all; the room above 1 is for the numbers
    axes[0, 0].set(ylim=(-0.05, 1.07 + 0.21 * len(drawn)), yticks=[0, 0.5, 1], xticks=[1, depth // 2, depth])
    _finish(figure, matched, drawn, left_out, by_tau)
    return figure


def number_of(column: str) -> float:
    """The tau or share of layers that a column of Figure 3 is about."""
    return float(column.partition("=")[2])


def fitting(columns: list[str]) -> list[str]:
    """The columns of Figure 3 that the page has room for, spread evenly from the first to the last."""
    room = min(len(columns), max(2, int(page_width() / 1.2)))
    return [columns[at] for at in np.linspace(0, len(columns) - 1, room).round().astype(int)]


def _finish(figure: Figure, matched: pd.DataFrame, drawn: dict[str, Look], left_out: str, by_tau: bool) -> None:
    figure.supylabel("examples (fraction)")
    seeds = spread(seeds_of(matched))
    cost = "DACT at this τ, and of each other method the setting" if by_tau else "the setting of each method"
    note = (
        f"In each panel: {cost}, among all thresholds at which a decision changes, that is nearest in mean fraction of "
        "layers used, which stands above the lines, if it is within one layer; methods without such a setting are "
        "absent; prune: trailing layers that no example of any seed uses. "
        f"{'One seed: no interval.' if seeds == 'one seed' else f'Mean over {seeds}, no interval drawn.'} "
    )
    surround(figure, matched, "how many examples use each layer", key_of(drawn), note + left_out, columns=4)


def _draw_usage(ax: Axes, matched: pd.DataFrame) -> None:
    drawn = looks(matched["method"])
    for method, rows in matched.groupby("method", sort=False):
        used = usage(rows)
        cost = rows.groupby("seed")["layer_fraction"].first().mean()
        label = f"{cost:.2f}, prune {prunable_layers(used)}".removeprefix("0")
        ax.plot(np.arange(1, used.shape[1] + 1), used.mean(axis=0), label=label, **drawn[method].line())
    if len(matched):
        number_key(ax)
    else:
        ax.text(0.5, 0.5, "no setting", ha="center", va="center", transform=ax.transAxes)


def usage(rows: pd.DataFrame) -> np.ndarray:
    """What Figure 3 draws: the share of examples that use each layer, [S, L], from rows of one method at one cost."""
    shares = rows.assign(share=rows["used_count"] / rows["n"])
    return shares.pivot(index="seed", columns="layer", values="share").to_numpy()
