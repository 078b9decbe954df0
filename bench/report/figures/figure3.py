"""The paper's Figure 3: the share of examples that use each layer, all methods at about equal cost."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.figures.looks import Look, drawn_methods, family, looks, panels, title
from bench.report.figures.page import annotate, data_note, heading_and_key, number_key
from bench.report.figures.setting import fitted_width, page_width
from bench.report.numbers import spread
from bench.statistics.curves import TOLERANCE, nearest_in_x, prunable_layers

MOST = 4  # methods whose numbers a panel has room for
#: Costs that are compared in a run without DACT, whose own costs the paper compares at.
BUDGETS = np.array([0.25, 0.5, 0.75])


def figure3(knobs: pd.DataFrame, exits: pd.DataFrame) -> Figure | None:
    """The paper's Figure 3 on one backbone: rows are tasks, columns costs at which methods are compared.

    The costs are those of DACT at each tau, as in the paper; a run without DACT is compared at `BUDGETS`.

    Args:
        knobs: rows of knobs.csv of one backbone.
        exits: rows of exits.csv of the same backbone.

    Returns:
        The figure; None without a method that chooses exits.
    """
    knobs = knobs.dropna(subset="knob_value")  # a model without a knob chooses nothing
    drawn, left_out = drawn_methods(knobs["method"], MOST)
    if not drawn:
        return None
    by_tau = is_tau(knobs).any()
    shown = knobs[knobs["task"].isin(knobs.loc[is_tau(knobs), "task"])] if by_tau else knobs
    columns = fitting(sorted(map(tau, shown.loc[is_tau(shown), "variant"].unique())) if by_tau else list(BUDGETS))
    groups = list(panels(shown[shown["method"].isin(drawn)]))
    depth = int(exits["layer"].max())
    figure = Figure(figsize=(fitted_width(1.4 * len(columns)), 1.15 * len(groups) + 0.9), layout="constrained")
    axes = figure.subplots(len(groups), len(columns), squeeze=False, sharex=True, sharey=True)
    for row, (task, split, rows) in zip(axes, groups, strict=True):
        used = exits[(exits["task"] == task) & (exits["split"] == split)]
        matched = matched_points(rows, drawn, within=1 / depth, by_tau=by_tau)
        row[0].set_ylabel(title(rows.iloc[0]).replace(", ", ",\n"))
        for ax, column in zip(row, columns, strict=True):
            _draw_usage(ax, matched[np.isclose(matched["column"], column)], used)
    for ax, column in zip(axes[0], columns, strict=True):
        ax.set_title(f"τ = {column:g}" if by_tau else f"{column:g} of the layers".removeprefix("0"))
    for ax in axes[-1]:
        ax.set_xlabel("layer")
    # shared by all; the room above 1 is for the numbers
    axes[0, 0].set(ylim=(-0.05, 1.07 + 0.21 * len(drawn)), yticks=[0, 0.5, 1], xticks=[1, depth // 2, depth])
    _finish(figure, shown[shown["method"].isin(drawn)], drawn, left_out, by_tau)
    return figure


def fitting(columns: list[float]) -> list[float]:
    """The columns that the page has room for, spread evenly from the first to the last."""
    room = min(len(columns), max(2, int(page_width() / 1.2)))
    return [columns[at] for at in np.linspace(0, len(columns) - 1, room).round().astype(int)]


def _finish(figure: Figure, knobs: pd.DataFrame, drawn: dict[str, Look], left_out: str, by_tau: bool) -> None:
    handles = [Line2D([], [], label=look.label, **look.line()) for look in drawn.values()]
    heading = f"{family(knobs['backbone'].iloc[0])}: how many examples use each layer"
    heading_and_key(figure, heading, handles, columns=4)
    figure.supylabel("examples (fraction)")
    seeds = spread(knobs["seeds"])
    cost = "DACT at this τ, and of the other methods the setting" if by_tau else "the setting of each method"
    note = (
        f"In each panel: {cost} nearest in mean fraction of layers used, which stands above the lines, if it is within "
        "one layer; methods without such a setting are absent; prune: trailing layers that no example of any seed "
        f"uses. {'One seed: no interval.' if seeds == 'one seed' else f'Mean over {seeds}, no interval drawn.'} "
    )
    annotate(figure, note + left_out + data_note(knobs))


def _draw_usage(ax: Axes, matched: pd.DataFrame, exits: pd.DataFrame) -> None:
    drawn = looks(matched["method"])
    for point in matched.itertuples():
        used, n = usage(exits, point.method, point.variant, point.knob_value)
        label = f"{point.layer_fraction:.2f}, prune {prunable_layers(used)}".removeprefix("0")
        layers = np.arange(1, used.shape[1] + 1)
        ax.plot(layers, (used / n[:, None]).mean(axis=0), label=label, **drawn[point.method].line())
    if len(matched):
        number_key(ax)
    else:
        ax.text(0.5, 0.5, "no setting", ha="center", va="center", transform=ax.transAxes)


def matched_points(knobs: pd.DataFrame, methods: Iterable[str], within: float, by_tau: bool) -> pd.DataFrame:
    """Operating points of about equal cost in one panel.

    Args:
        knobs: rows of knobs.csv of one task, split and backbone.
        methods: the methods to draw.
        within: how far from the cost a point may be, as a fraction of the layers.
        by_tau: whether the costs are those of DACT at each tau, or else `BUDGETS`.

    Returns:
        For every tau or budget (column `column`), the row of `knobs` of each method that is nearest in mean layer
        fraction, where it is near enough.
    """
    dact = knobs[is_tau(knobs)] if by_tau else knobs.head(0)
    columns = dact["variant"].map(tau).to_numpy(dtype=float) if by_tau else BUDGETS
    costs = dact["layer_fraction"].to_numpy() if by_tau else BUDGETS
    chosen = [dact.assign(column=dact["variant"].map(tau))]
    for method in methods:
        offered = knobs[knobs["method"] == method]
        if len(offered) and not (by_tau and method == "dact"):
            rows = offered.iloc[nearest_in_x(costs, offered["layer_fraction"].to_numpy())].assign(column=columns)
            chosen.append(rows[np.abs(rows["layer_fraction"] - costs) <= within + TOLERANCE])
    return pd.concat(chosen, ignore_index=True)


def usage(exits: pd.DataFrame, method: str, variant: str, knob_value: float) -> tuple[np.ndarray, np.ndarray]:
    """How many examples use each layer at one operating point.

    Args:
        exits: rows of exits.csv of one task, split and backbone.
        method: which method.
        variant: which of its trained variants.
        knob_value: which knob.

    Returns:
        used [S, L] and the number of examples n [S], one row per seed.
    """
    here = (exits["method"] == method) & (exits["variant"] == variant) & np.isclose(exits["knob_value"], knob_value)
    table = exits[here].pivot(index="seed", columns="layer", values=["used_count", "exit_count"])
    return table["used_count"].to_numpy(), table["exit_count"].to_numpy().sum(axis=1)


def is_tau(rows: pd.DataFrame) -> pd.Series:
    """Which rows are DACT models that differ in tau alone."""
    return (rows["method"] == "dact") & rows["variant"].str.fullmatch(r"tau=[-+.e\d]+")


def tau(variant: str) -> float:
    """The tau of a variant's name."""
    return float(variant.removeprefix("tau="))
