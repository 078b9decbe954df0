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

from bench.report.figures.looks import BACKBONES, GENERATED, MARKS, TRUNCATED, family, looks, name_of, panels
from bench.report.figures.setting import current, page_width
from bench.report.numbers import spread
from bench.store.files import write_bytes

PANEL_WIDTH = 1.75  # inches of a panel with its labels
NARROWEST = 1.45  # where a width is asked for
LAYERS_USED = "layers used (fraction)"


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
    parts = {backbone: [each for _, _, each in panels(group)] for backbone, group in rows.groupby("backbone")}
    cells = max(map(len, parts.values())) + 1
    columns = min(int(page_width() / (NARROWEST if current().width else PANEL_WIDTH)), cells)
    lines = math.ceil(cells / columns)
    size = (current().width or PANEL_WIDTH * columns, (1.45 * lines + 0.2) * len(parts) + 0.3)
    figure = Figure(figsize=size, layout="constrained")
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
    lines = looks(methods - {*MARKS, "truncated"})
    handles = [Line2D([], [], label=look.label, **look.line()) for look in lines.values()]
    distilled = f"Distil{family(backbone)}" if backbone in BACKBONES else "distilled"
    labels = {"static": f"{family(backbone)} (static)", "distilbert": distilled}
    handles += [Line2D([], [], label=labels[m], **MARKS[m]) for m in MARKS if m in methods]
    if "truncated" in methods:
        handles.append(Line2D([], [], label="truncated depth", **TRUNCATED))
    ax.legend(handles=handles, loc="center left", handlelength=3)


def heading(figure: FigureBase, text: str) -> None:
    """A heading above a figure or a block of it, where words are part of the picture."""
    if current().words:
        figure.suptitle(text, weight="bold")


def heading_and_key(figure: Figure, text: str, handles: list[Line2D], columns: int = 3) -> None:
    """Put a heading and, below it, one key for all panels above a figure."""
    columns = min(columns, len(handles), max(1, int(figure.get_figwidth() / 1.1)))
    named = {"title": text} if current().words else {}
    key = figure.legend(handles=handles, loc="outside upper center", ncols=columns, handlelength=3, **named)
    key.get_title().set_weight("bold")


def number_key(ax: Axes, columns: int = 1, place: str = "upper right") -> None:
    """The numbers of a panel beside the markers of its lines, small, in one of its corners."""
    tight = {"fontsize": 6, "handlelength": 0.6, "handletextpad": 0.4, "borderaxespad": 0, "labelspacing": 0.1}
    key = ax.legend(loc=place, ncols=columns, columnspacing=0.8, **tight)
    for handle in key.legend_handles:
        handle.set_linestyle("none")


def seeds_of(points: pd.DataFrame) -> pd.Series:
    """For the fine print of figures: the number of seeds of every method and panel in rows of points.csv."""
    return points.groupby(["task", "split", "backbone", "method"])["seed"].nunique()


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
