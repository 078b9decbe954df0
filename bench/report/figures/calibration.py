"""Reliability diagrams: is an answer of confidence .8 right in eight of ten? The figure of reliability.csv."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.curves import same_setting
from bench.report.figures.looks import drawn_methods, looks, narrow_title, panels
from bench.report.figures.page import fill, key_of, new_figure, number_key, surround
from bench.report.figures.setting import column_width
from bench.report.numbers import spread

SIDE_BY_SIDE = 2
COST = 0.5
MOST = 4  # methods whose numbers a panel has room for


def calibration(bins: pd.DataFrame, errors: pd.DataFrame) -> Figure | None:
    """Accuracy against confidence at exit, every method at half of the layers, a panel per task.

    Args:
        bins: rows of reliability.csv of one backbone.
        errors: rows of calibration.csv of the same backbone.

    Returns:
        The figure; None without answers to classify.
    """
    drawn, left_out = drawn_methods(bins["method"], MOST)
    bins = bins[bins["method"].isin(drawn)]
    if not len(bins):
        return None
    groups = panels(bins)
    figure = new_figure(column_width(), 1.3 * math.ceil(len(groups) / SIDE_BY_SIDE) + 1.3)
    fill(figure, groups, SIDE_BY_SIDE, lambda ax, rows: _draw(ax, rows, errors), "confidence", "accuracy", sharex=True)
    note = (
        "Equal-mass bins, each method at the setting nearest to half of the layers; examples of "
        f"{spread(bins['seeds'])} together, no interval drawn. Grey: perfect. Numbers: calibration error, in brackets "
        f"what chance alone would show. {left_out}"
    )
    surround(figure, bins, "reliability at exit", key_of(drawn), note)
    return figure


def _draw(ax: Axes, rows: pd.DataFrame, errors: pd.DataFrame) -> None:
    ax.axline((0.5, 0.5), slope=1, color="0.7", linewidth=0.8)
    for method, look in looks(set(rows["method"])).items():
        here = rows[rows["method"] == method]
        nearest = here.iloc[(here["layer_fraction"] - COST).abs().argmin()]
        here = here[here["variant"] == nearest["variant"]]
        ax.plot(here["confidence"], here["accuracy"], label=_label(errors, nearest), **look.line())
    ax.set_title(narrow_title(rows))
    ax.set(ylim=(0, 1.03), xlim=(min(0.5, rows["confidence"].min()) - 0.02, 1.02))
    number_key(ax, place="lower right")


def _label(errors: pd.DataFrame, point: pd.Series) -> str:
    """The calibration error of an operating point, and that of a perfect exit."""
    found = same_setting(errors[(errors["at"] == "exit") & (errors["scaling"] == "none")], point)
    if not len(found):
        return ""
    return " ".join(
        text.replace("0.", ".") for text in (f"{found['ece'].iloc[0]:.2f}", f"({found['ece_null'].iloc[0]:.2f})")
    )
