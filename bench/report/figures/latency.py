"""What a layer saved is worth in time: wall-clock time of the live engine against layers used."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.looks import COLORS, MARKERS, TRUNCATED, narrow_title, panels
from bench.report.figures.page import entry, new_figure, seeds_by_panel, surround
from bench.report.figures.setting import check_room, fitted_width
from bench.report.numbers import spread

SETTING = ["method", "variant", "knob_value"]


def latency(table: pd.DataFrame) -> Figure | None:
    """Time against layers, both as fractions of full depth, on one backbone: a row per device, a panel per task.

    Args:
        table: rows of latency.csv of one backbone.

    Returns:
        The figure; None where nothing was measured.
    """
    if not len(table):
        return None
    groups, devices = panels(table), list(table["device"].unique())
    check_room(len(groups), 0.8)
    figure = new_figure(fitted_width(1.1 * len(groups) + 0.6), 1.3 * len(devices) + 1.1)
    axes = figure.subplots(len(devices), len(groups), squeeze=False, sharex=True, sharey=True)
    looks = {batch: (COLORS[i], MARKERS[i]) for i, batch in enumerate(sorted(table["batch_size"].unique()))}
    for row, device in zip(axes, devices, strict=True):
        row[0].set_ylabel(f"{device}: time\n(fraction)")
        for ax, rows in zip(row, groups, strict=True):
            _draw_panel(ax, rows[rows["device"] == device], looks)
    for ax, rows in zip(axes[0], groups, strict=True):
        ax.set_title(narrow_title(rows))
    for ax in axes[-1]:
        ax.set_xlabel("layers used\n(fraction)")
    handles = [
        entry(f"batches of {batch}", color=color, marker=marker, markersize=3, linestyle="none")
        for batch, (color, marker) in looks.items()
    ]
    note = (
        "Live early exit over full depth, same examples and batches; a dot is a setting of a method. On the grey line "
        "every layer that is not computed saves its share of the time. Mean over "
        f"{spread(seeds_by_panel(table))}, no interval drawn. "
    )
    surround(figure, table, "what a layer saved is worth in time", handles, note)
    return figure


def _draw_panel(ax: Axes, rows: pd.DataFrame, looks: dict[int, tuple]) -> None:
    ax.plot([0, 1], [0, 1], **TRUNCATED)
    for batch, (color, marker) in looks.items():
        here = rows[rows["batch_size"] == batch].groupby(SETTING)[["layer_fraction", "time_fraction"]].mean()
        ax.plot(*here.to_numpy().T, color=color, marker=marker, markersize=2.5, linestyle="none")
    ax.set(xlim=(0, 1.04), ylim=(0, None))
    ax.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
