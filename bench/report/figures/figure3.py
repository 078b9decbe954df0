"""The paper's Figure 3: the share of examples that use each layer, all methods at equal cost."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.figures.looks import family, looks, panels, title
from bench.report.figures.page import TEXT_WIDTH, annotate, data_note, heading_and_key, number_key, spread
from bench.statistics.curves import nearest_in_x, prunable_layers
from bench.tables.columns import PAPER_METHODS


def figure3(knobs: pd.DataFrame, exits: pd.DataFrame) -> Figure | None:
    """The paper's Figure 3 on one backbone: rows are tasks, columns DACT's tau, the others at its cost.

    Args:
        knobs: rows of knobs.csv of one backbone.
        exits: rows of exits.csv of the same backbone.

    Returns:
        The figure; None without DACT models.
    """
    if not is_tau(knobs).any():
        return None
    groups = list(panels(knobs[knobs["task"].isin(knobs.loc[is_tau(knobs), "task"])]))
    variants = sorted(knobs.loc[is_tau(knobs), "variant"].unique(), key=tau)
    width, height = max(TEXT_WIDTH / 2, min(TEXT_WIDTH, 1.4 * len(variants))), 1.15 * len(groups) + 0.9
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(len(groups), len(variants), squeeze=False, sharex=True, sharey=True)
    for row, (task, split, rows) in zip(axes, groups, strict=True):
        used = exits[(exits["task"] == task) & (exits["split"] == split)]
        matched = matched_points(rows)
        row[0].set_ylabel(title(rows.iloc[0]).replace(", ", ",\n"))
        for ax, variant in zip(row, variants, strict=True):
            _draw_usage(ax, matched[matched["tau"] == tau(variant)], used)
    for ax, variant in zip(axes[0], variants, strict=True):
        ax.set_title(f"τ = {tau(variant):g}")
    for ax in axes[-1]:
        ax.set_xlabel("layer")
    depth = int(exits["layer"].max())
    # shared by all; the room above 1 is for the numbers
    axes[0, 0].set(ylim=(-0.05, 1.7), yticks=[0, 0.5, 1], xticks=[1, depth // 2, depth])
    _finish(figure, knobs)
    return figure


def _finish(figure: Figure, knobs: pd.DataFrame) -> None:
    drawn = looks(set(knobs["method"]) & set(PAPER_METHODS))
    handles = [Line2D([], [], label=look.label, **look.line()) for look in drawn.values()]
    heading = f"{family(knobs['backbone'].iloc[0])}: how many examples use each layer, at equal cost"
    heading_and_key(figure, heading, handles)
    figure.supylabel("examples (fraction)")
    seeds = spread(knobs.loc[knobs["method"].isin(PAPER_METHODS), "seeds"])
    note = (
        "In each panel: DACT at this τ and the other methods' knobs nearest in mean fraction of layers used, which "
        "stands above the lines; prune: trailing layers that no example of any seed uses. "
        f"{'One seed: no interval.' if seeds == 'one seed' else f'Mean over {seeds}, no interval drawn.'} "
    )
    annotate(figure, note + data_note(knobs))


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
        ax.text(0.5, 0.5, "no run", ha="center", va="center", transform=ax.transAxes)


def matched_points(knobs: pd.DataFrame) -> pd.DataFrame:
    """Operating points of equal cost in one panel.

    Args:
        knobs: rows of knobs.csv of one task, split and backbone.

    Returns:
        For every DACT tau (column `tau`), its own row of `knobs` and, of each other method drawn, the row nearest in
        mean layer fraction.
    """
    dact = knobs[is_tau(knobs)]
    chosen = [dact.assign(tau=dact["variant"].map(tau))]
    for method in PAPER_METHODS:
        offered = knobs[knobs["method"] == method]
        if method != "dact" and len(offered):
            nearest = nearest_in_x(dact["layer_fraction"].to_numpy(), offered["layer_fraction"].to_numpy())
            chosen.append(offered.iloc[nearest].assign(tau=chosen[0]["tau"].to_numpy()))
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
