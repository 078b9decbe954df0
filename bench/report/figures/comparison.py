"""How far every method's curve moved between two runs, drawn like Figure 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.curves import draw_curve
from bench.report.figures.looks import looks, metric, title
from bench.report.figures.page import annotate, blocks, data_note, layer_axis, save, seeds_of
from bench.report.figures.setting import Setting, drawn_with
from bench.report.numbers import spread
from bench.statistics.curves import interpolate
from bench.statistics.intervals import t_interval
from bench.store.csv_files import read_table
from bench.store.folder import RunFolder
from bench.tables.columns import GRID, PANEL
from bench.tables.comparison import RUN
from bench.tables.curves import runs_of


def draw_comparison(run_a: RunFolder, run_b: RunFolder, figures: Path) -> list[Path]:
    """Draw how far every method's curve moved, B - A at equal cost, as PDF, SVG and PNG."""
    points_a, points_b = (read_table(run.path / "points.csv") for run in (run_a, run_b))
    shared = points_a[RUN].drop_duplicates().merge(points_b[RUN].drop_duplicates(), on=RUN)
    points_a, points_b = points_a.merge(shared, on=RUN), points_b.merge(shared, on=RUN)
    with drawn_with(Setting(frozenset(points_a["method"]))):
        return save(comparison(points_a, points_b), figures / "comparison")


def comparison(points_a: pd.DataFrame, points_b: pd.DataFrame) -> Figure:
    """The figure of `draw_comparison`, from the rows of points.csv that both folders have."""
    others = dict(list(points_b.groupby([*PANEL, "method"])))
    drawn = looks(set(points_a["method"]) - {"truncated", "static", "distilbert"})

    def draw_panel(ax: Axes, rows: pd.DataFrame) -> None:
        for method, look in drawn.items():
            here = rows[rows["method"] == method]
            if len(here):
                draw_curve(ax, moved(here, others[(*here[PANEL].iloc[0], method)]), look)
        ax.axhline(0, color="black", linewidth=0.6)
        ax.set(title=title(rows.iloc[0]), ylabel=f"Δ {metric(rows)}")
        layer_axis(ax)

    points_a = points_a[points_a["method"].isin(drawn)]
    figure = blocks(points_a, draw_panel)
    seeds = seeds_of(points_a)
    band = "one seed: no interval" if seeds.max() == 1 else f"band: 95 % Student-t over {spread(seeds)}"
    note = "Second run minus first at equal cost, paired by seed; line: mean where every seed of both has a value;"
    annotate(figure, f"{note} {band}. {data_note(pd.concat([points_a, points_b]))}")
    return figure


def moved(points_a: pd.DataFrame, points_b: pd.DataFrame) -> pd.DataFrame:
    """For the figure of two runs: mean difference B - A of one method's curves on the common grid, with its band."""
    runs_a, runs_b = runs_of(points_a), runs_of(points_b)
    heights = np.stack([interpolate(GRID, *runs_b[seed]) - interpolate(GRID, *runs_a[seed]) for seed in runs_a])
    mean, low, high = t_interval(heights)
    return pd.DataFrame({"x": GRID, "mean": mean, "low": low, "high": high, "seeds": len(heights), "dotted": 0})
