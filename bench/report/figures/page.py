"""What all figures share: panels in blocks, axes, keys, the fine print below, and writing PDF, SVG and PNG."""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D

from bench.report.figures.looks import BACKBONES, GENERATED, MARKS, TRUNCATED, Look, family, looks, name_of, panels
from bench.report.figures.setting import current, page_width
from bench.report.numbers import spread
from bench.store.files import write_bytes

PANEL_WIDTH = 1.75  # inches of a panel with its labels
NARROWEST = 1.45  # where a width is asked for
NOTE_LINES = 3  # of fine print, which the heights of figures allow for
NOTE_LINE = 0.11  # inches of a further one
LAYERS_USED = "layers used (fraction)"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, whose panels make room for what is written around them."""
    return Figure(figsize=(width, height), layout="constrained")


def layer_axis(ax: Axes) -> None:
    """The horizontal axis that figures share: of everything drawn against computation."""
    ax.set(xlim=(0, 1.04), xlabel=LAYERS_USED)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])


def blocks(rows: pd.DataFrame, draw_panel: Callable[[Axes, pd.DataFrame], None]) -> Figure:
    """A block of panels per backbone, a panel per task and split, with a key in the block's first free place.

    Args:
        rows: what is drawn, with the keys of points.csv.
        draw_panel: draws the rows of one panel.
    """
    parts = {backbone: panels(group) for backbone, group in rows.groupby("backbone")}
    cells = max(map(len, parts.values())) + 1
    columns = min(int(page_width() / (NARROWEST if current().width else PANEL_WIDTH)), cells)
    lines = math.ceil(cells / columns)
    figure = new_figure(current().width or PANEL_WIDTH * columns, (1.45 * lines + 0.2) * len(parts) + 0.3)
    for part, (backbone, groups) in zip(np.ravel(figure.subfigures(len(parts))), parts.items(), strict=True):
        heading(part, family(backbone))
        axes = part.subplots(lines, columns, squeeze=False).ravel()
        for ax, group in zip(axes, groups, strict=False):
            draw_panel(ax, group)
        for ax in axes[len(groups) :]:
            ax.axis("off")
        _draw_key(axes[len(groups)], backbone, set(rows.loc[rows["backbone"] == backbone, "method"]))
    return figure


def _draw_key(ax: Axes, backbone: str, methods: set[str]) -> None:
    handles = key_of(looks(methods - {*MARKS, "truncated"}))
    distilled = f"Distil{family(backbone)}" if backbone in BACKBONES else "distilled"
    labels = {"static": f"{family(backbone)} (static)", "distilbert": distilled}
    handles += [entry(labels[m], **MARKS[m]) for m in MARKS if m in methods]
    if "truncated" in methods:
        handles.append(entry("truncated depth", **TRUNCATED))
    ax.legend(handles=handles, loc="center left", handlelength=3)


def entry(label: str, **style: object) -> Line2D:
    """An entry of a key: a label beside a line or mark."""
    return Line2D([], [], label=label, **style)


def key_of(drawn: dict[str, Look]) -> list[Line2D]:
    """The entries of a key of lines with markers."""
    return [entry(look.label, **look.line()) for look in drawn.values()]


def fill(
    figure: Figure,
    groups: list[pd.DataFrame],
    columns: int,
    draw_panel: Callable[[Axes, pd.DataFrame], None],
    xlabel: str,
    ylabel: str,
    sharex: bool = False,
) -> None:
    """Fill a figure with a panel for each group, line by line; labels stand at the left and at the lowest panels.

    Args:
        figure: an empty one.
        groups: the rows of each panel.
        columns: panels side by side, where there are so many.
        draw_panel: draws the rows of one panel.
        xlabel: of every column.
        ylabel: of every line.
        sharex: whether all panels have one horizontal axis, as they have one vertical axis.
    """
    columns = min(columns, len(groups))
    axes = figure.subplots(math.ceil(len(groups) / columns), columns, squeeze=False, sharex=sharex, sharey=True)
    for ax, group in zip(axes.ravel(), groups, strict=False):
        draw_panel(ax, group)
    for ax in axes.ravel()[len(groups) :]:
        ax.axis("off")
    for ax in axes[:, 0]:
        ax.set_ylabel(ylabel)
    for ax in axes.ravel()[max(0, len(groups) - columns) : len(groups)]:
        ax.set_xlabel(xlabel)
        ax.tick_params(labelbottom=True)


def task_columns(table: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of a forest plot's columns: of each task and, of several, of their mean, where it is wanted."""
    tasks, mean = panels(table[table["task"] != "mean"]), table[table["task"] == "mean"]
    return [*tasks, mean] if len(tasks) > 1 and len(mean) else tasks


def forest(ax: Axes, rows: pd.DataFrame, methods: list[str], value: str, intervals: dict[str, dict]) -> None:
    """A column of a forest plot: a mark for each method, and its intervals.

    Args:
        ax: where.
        rows: by method.
        methods: those of the plot, from above; not all need to have a row.
        value: the column of the mark.
        intervals: what stands before `_low` and `_high` in their columns -> how they are drawn.
    """
    look = looks(methods)
    for y, method in enumerate(methods):
        if method in rows.index:
            row = rows.loc[method]
            mark = MARKS.get(method, {"color": look[method].color, "marker": look[method].marker, "markersize": 3})
            for name, style in intervals.items():
                ax.hlines(y, row[f"{name}_low"], row[f"{name}_high"], color=mark["color"], **style)
            ax.plot(row[value], y, **mark)
    ax.set_ylim(-0.7, len(methods) - 0.3)
    ax.xaxis.get_major_locator().set_params(nbins=3, prune="both")  # labels at an edge would touch the neighbour's
    ax.grid(axis="y", visible=False)


def heading(figure: FigureBase, text: str) -> None:
    """A heading above a figure or a block of it, where words are part of the picture."""
    if current().words:
        figure.suptitle(text, weight="bold")


def surround(
    figure: Figure, rows: pd.DataFrame, about: str, handles: list[Line2D], note: str, columns: int = 3
) -> None:
    """Put around the panels of one backbone what all figures have: heading and key above, the fine print below.

    Args:
        figure: with its panels.
        rows: what is drawn.
        about: the heading behind the backbone's name.
        handles: of the key.
        note: the fine print before what it says of the data.
        columns: of the key at most.
    """
    columns = min(columns, len(handles), max(1, int(figure.get_figwidth() / 1.1)))
    named = {"title": f"{family(rows['backbone'].iloc[0])}: {about}"} if current().words else {}
    key = figure.legend(handles=handles, loc="outside upper center", ncols=columns, handlelength=3, **named)
    key.get_title().set_weight("bold")
    annotate(figure, note + data_note(rows))


def number_key(ax: Axes, columns: int = 1, place: str = "upper right") -> None:
    """The numbers of a panel beside the markers of its lines, small, in one of its corners."""
    key = ax.legend(
        loc=place,
        ncols=columns,
        columnspacing=0.8,
        fontsize=6,
        handlelength=0.6,
        handletextpad=0.4,
        borderaxespad=0,
        labelspacing=0.1,
    )
    for handle in key.legend_handles:
        handle.set_linestyle("none")


def seeds_of(points: pd.DataFrame) -> pd.Series:
    """For the fine print of figures: the number of seeds of every method and panel in rows of points.csv."""
    return points.groupby(["task", "split", "backbone", "method"])["seed"].nunique()


def seeds_by_panel(rows: pd.DataFrame) -> pd.Series:
    """For the fine print of figures: the number of seeds of every panel, whatever the methods."""
    return rows.groupby(["task", "split"])["seed"].nunique()


def band_note(points: pd.DataFrame) -> str:
    """In the fine print of figures: which interval the bands are, over how many seeds."""
    seeds = seeds_of(points)
    if seeds.max() == 1:
        return "one seed: no interval."
    over = f"over {spread(seeds)}, conditional on this validation set, cut at the frame."
    return f"95\N{NO-BREAK SPACE}% Student-t band {over}"


def interval_note(seeds: pd.Series) -> str:
    """In the fine print of figures: which interval the vertical lines are, over how many seeds."""
    if seeds.max() == 1:
        return "One seed: no interval."
    return f"Lines: 95\N{NO-BREAK SPACE}% Student-t interval over {spread(seeds)}, conditional on this validation set."


def data_note(rows: pd.DataFrame) -> str:
    """The end of the fine print: which suite the data are of, whether they are generated, and what was not run here."""
    suites = rows["suite"].unique()
    generated = any(name.startswith(GENERATED) for name in suites)
    return f"Data: suite {', '.join(suites)}{' (generated, not GLUE).' if generated else '.'}{published_note(rows)}"


def published_note(rows: pd.DataFrame) -> str:
    """In the fine print of figures: which methods are published ones, not trained here, and where they come from."""
    there = {name for column in ("method", "method_a", "method_b") if column in rows for name in rows[column].unique()}
    by_source: dict[str, list[str]] = {}
    for name in looks(there & current().published.keys()):
        by_source.setdefault(current().published[name], []).append(name_of(name))
    return "".join(f" Published, not trained here: {', '.join(names)} ({of})." for of, names in by_source.items())


def annotate(figure: Figure, note: str) -> None:
    """Put the fine print below a figure, wrapped to its width, where words are part of the picture."""
    if not current().words:
        return
    lines = textwrap.wrap(note, width=int(figure.get_figwidth() * 21), break_on_hyphens=False)
    figure.set_figheight(figure.get_figheight() + NOTE_LINE * max(0, len(lines) - NOTE_LINES))
    figure.supxlabel("\n".join(lines).replace("\N{NO-BREAK SPACE}", " "), fontsize=6)


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write PDF, SVG and PNG, each whole or not at all, the same bytes for the same figure."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine(None)  # laid out once, the same in every format
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
    paths = [stem.with_name(f"{stem.name}.{extension}") for extension in undated]
    for path, (extension, metadata) in zip(paths, undated.items(), strict=True):
        picture = io.BytesIO()
        figure.savefig(picture, format=extension, metadata={"Title": stem.name, **metadata})
        write_bytes(path, _titled(picture.getvalue()) if extension == "svg" else picture.getvalue())
    return paths


def _titled(svg: bytes) -> bytes:
    """Turn the links around points, which is how matplotlib lets text travel with them, into their titles."""
    return re.sub(rb'<a xlink:href="([^"]*)"[^>]*>', rb"<g><title>\1</title>", svg).replace(b"</a>", b"</g>")
