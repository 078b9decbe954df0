"""The paper's Figure 2, metric against computation for every panel, and a close look at what full depth is worth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.curves import draw_marks, draw_method, group_curves
from bench.report.figures.looks import MARKS, TRUNCATED, Look, drawn_methods, family, metric, name_of, title
from bench.report.figures.page import annotate, band_note, blocks, data_note, interval_note, layer_axis, seeds_of
from bench.statistics.intervals import t_interval
from bench.tables.columns import PANEL, static_seed
from bench.tables.plateau import starved

MOST = 5  # methods that one panel can hold
#: The difference to full depth is drawn from here up: what is lost beyond it can be seen in Figure 2.
LOWEST = -0.15


def figure2(
    points: pd.DataFrame, curves: pd.DataFrame, health: pd.DataFrame, plateau: pd.DataFrame | None = None
) -> Figure | None:
    """The paper's Figure 2: a block of panels per backbone, a panel per task and split, a key in each block.

    Args:
        points: points.csv.
        curves: curves.csv.
        health: health.csv, which may have no rows.
        plateau: plateau.csv, where there is one.

    Returns:
        The figure; None without a method that chooses exits.
    """
    drawn, left_out = drawn_methods(points["method"], MOST)
    if not drawn:
        return None
    points = points[points["method"].isin([*drawn, *MARKS, "truncated"])]
    lines = group_curves(curves)

    def draw_panel(ax: Axes, rows: pd.DataFrame) -> None:
        by_method = dict(list(rows.groupby("method")))
        if "truncated" in by_method:
            depth = by_method["truncated"].groupby("knob_value")[["layer_fraction", "value"]].mean()
            ax.plot(*depth.to_numpy().T, **TRUNCATED)
        for method, look in drawn.items():
            draw_method(ax, by_method, lines, method, look)
        draw_marks(ax, by_method, MARKS)
        low, high = rows["value"].min(), rows["value"].max()
        pad = 0.06 * max(high - low, 0.05)
        ax.set(title=title(rows.iloc[0]), ylabel=metric(rows), ylim=(low - pad, high + pad))
        layer_axis(ax)

    figure = blocks(points, draw_panel)
    note = (
        "Points: single runs at the settings of the grid. Line: mean of the exact curves, through every threshold at "
        "which a decision changes, where every seed has a value; dotted where nothing was measured: between trained "
        f"models, and across more than a quarter of the axis; {band_note(points[points['method'].isin(drawn)])} "
    )
    annotate(figure, note + health_note(health, drawn) + left_out + starved_note(plateau) + data_note(points))
    return figure


def health_note(health: pd.DataFrame, drawn: dict[str, Look]) -> str:
    """For Figure 2's fine print: the exits which see less than is there, empty where there are none; see health.csv."""
    if not len(health):
        return ""
    weak = []
    for method, look in drawn.items():
        here = health[health["method"] == method]
        named = here[here["named"] == 1]
        if len(named):
            first, last = named["layer"].min(), named["layer"].max()
            where = f"at layer {first}" if first == last else f"within layers {first}–{last}"
            weak.append(f"{look.label} {where} on {count(named)} of {count(here)} panels")
    blind = ", some with one answer for all" if (health["method"].isin(drawn) & (health["blind"] == 1)).any() else ""
    said = "Exits that a probe on the very state they read beats by .05 or more"
    return f"{said}{blind}: {'; '.join(weak)} (health.csv). " if weak else ""


def count(rows: pd.DataFrame) -> int:
    """How many panels some rows are about, in Figure 2's fine print."""
    return len(rows[PANEL].drop_duplicates())


def starved_note(plateau: pd.DataFrame | None) -> str:
    """The sentence of Figure 2's fine print that names the methods which would gain from twice the steps."""
    named = [
        f"{name_of(row.method)} on {family(row.backbone)} (+{100 * row.gain:.1f} points)"
        for row in starved(plateau).itertuples()
    ]
    return f"Starved, would gain from twice the steps: {', '.join(named)}. " if named else ""


def difference(points: pd.DataFrame) -> Figure | None:
    """What the settings of every method lose or gain against full depth of the static model, laid out like Figure 2.

    Args:
        points: points.csv.

    Returns:
        The figure; None without a method that chooses exits, or without static models.
    """
    drawn, left_out = drawn_methods(points["method"], MOST)
    if not drawn or not (points["method"] == "static").any():
        return None
    points = less_static(points)
    points = points[points["method"].isin(drawn)]

    def draw_panel(ax: Axes, rows: pd.DataFrame) -> None:
        for method, look in drawn.items():
            draw_settings(ax, rows[rows["method"] == method], look)
        ax.axhline(0, color="black", linewidth=0.6)
        top = max(0.02, 1.2 * rows["value"].max())
        ax.set(title=title(rows.iloc[0]), ylabel=f"Δ {metric(rows)}", ylim=(LOWEST, top))
        layer_axis(ax)

    figure = blocks(points, draw_panel)
    note = (
        "Value minus full depth of the static model of the same seed, or of the one that all seeds start from (0: "
        "static). Marks: settings of the grid, mean over seeds, joined in the order of their cost; what loses more "
        f"than {-LOWEST:.2f} is below the frame. {interval_note(seeds_of(points))} {left_out}{data_note(points)}"
    )
    annotate(figure, note)
    return figure


def draw_settings(ax: Axes, rows: pd.DataFrame, look: Look) -> None:
    """The settings of one method as marks at their mean over seeds, with the interval where there are several seeds."""
    settings = rows.groupby(["variant", "knob_value"], dropna=False)
    marks = [(part["layer_fraction"].mean(), *t_interval(part["value"].to_numpy())) for _, part in settings]
    x, mean, low, high = np.array(sorted(marks)).reshape(-1, 4).T
    ax.plot(x, mean, **{**look.line(), "linewidth": 0.6})
    inside = mean >= LOWEST
    ax.vlines(x[inside], low[inside], high[inside], color=look.color, linewidth=0.4, alpha=0.6)


def less_static(points: pd.DataFrame) -> pd.DataFrame:
    """Points whose value is the difference to the static model of the same seed, or the one of all seeds.

    Points without such a model are left out.
    """
    parts = []
    for _, panel in points.groupby(["task", "split", "backbone"], sort=False):
        static = panel[panel["method"] == "static"].set_index("seed")["value"]
        if len(static):
            seeds = panel.groupby("method")["seed"].unique()
            beside = {seed: static.get(static_seed(seeds, seed), np.nan) for seed in panel["seed"].unique()}
            parts.append(panel.assign(value=panel["value"] - panel["seed"].map(beside)))
    return pd.concat(parts).dropna(subset="value")
