"""Every figure of a run folder in one table (`PLOTS`: its tables, its caption), and the functions that draw them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from bench.errors import check_choice
from bench.processes import call_all
from bench.report.figures.auc import areas
from bench.report.figures.bounds import bounds
from bench.report.figures.calibration import calibration
from bench.report.figures.depth import depth
from bench.report.figures.difficulty import difficulty
from bench.report.figures.figure2 import difference, figure2
from bench.report.figures.figure3 import figure3
from bench.report.figures.latency import latency
from bench.report.figures.layers import layers
from bench.report.figures.looks import SPLITS
from bench.report.figures.multiples import multiples
from bench.report.figures.page import save
from bench.report.figures.risk import risk
from bench.report.figures.setting import WIDTHS, Setting, TooNarrow, drawn_with
from bench.report.figures.undecidable import undecidable
from bench.store.csv_files import has_table, read_table


@dataclass(frozen=True)
class Plot:
    """One figure, or one per backbone.

    Attributes:
        draw: from the tables to a figure, or None where they hold nothing to draw.
        tables: names of the CSV files that it reads.
        caption: what it shows, in one or two sentences.
        per_backbone: whether every backbone has a figure of its own, `NAME-BACKBONE`.
        optional: drawn only where its tables are there, which not every run has.
        beside: a table more, for the fine print, where it is there; else None is handed over.
    """

    draw: Callable[..., Figure | None]
    tables: tuple[str, ...]
    caption: str
    per_backbone: bool = False
    optional: bool = False
    beside: str = ""


PLOTS = {
    "figure2": Plot(
        figure2,
        ("points", "curves", "health"),
        "Performance against computation, as the paper's Figure 2 draws it.",
        beside="plateau",
    ),
    "figure3": Plot(figure3, ("matched",), "How many examples use each layer (the paper's Figure 3).", True),
    "methods": Plot(
        multiples, ("points", "curves", "references"), "Every method on its own, the others in grey.", True
    ),
    "difference": Plot(
        difference, ("points",), "What early exit costs or gains near full depth: differences paired by seed."
    ),
    "auc": Plot(
        areas, ("auc",), "Areas under the curves, with the interval over seeds and the one over examples.", True
    ),
    "risk": Plot(risk, ("risk",), "What a bounded risk costs in layers, and what the naive choice breaks.", True, True),
    "calibration": Plot(
        calibration, ("reliability", "calibration"), "Are answers right as often as they are sure, at exit?", True, True
    ),
    "depth": Plot(depth, ("depth",), "How deep the tasks are: what each layer is worth, beside GLUE.", True, True),
    "difficulty": Plot(
        difficulty,
        ("knobs", "difficulty", "difficulty_rank"),
        "Do harder examples exit later? Near half the layers.",
    ),
    "undecidable": Plot(
        undecidable,
        ("undecidable",),
        "Layers spent on what nobody can answer, against hard examples that can be decided, at equal cost.",
        True,
        True,
    ),
    "layers": Plot(layers, ("layers",), "What the halting rules see, layer by layer, for three examples.", True),
    "bounds": Plot(bounds, ("bounds",), "DACT's halting bound: the paper's, the exact one, and slack in it.", True),
    "latency": Plot(
        latency, ("latency",), "What a layer saved is worth in time, by batch size and device.", True, True
    ),
}


@dataclass(frozen=True)
class Wanted:
    """Which part of a run is drawn, and how: the options of `python -m bench.report.figures`.

    Attributes:
        panels: names of tasks, or of splits as figures write them (`mnli-m`); None: all that ran.
        backbone: the only family to draw; None: all.
        width: one of `WIDTHS`; None: what the panels need.
        words: whether headings and fine print are part of the pictures.
        published: the methods that were not trained in this run -> where they come from.
    """

    panels: tuple[str, ...] | None = None
    backbone: str | None = None
    width: str | None = None
    words: bool = True
    published: dict[str, str] = field(default_factory=dict)


def draw_all(results: Path, figures: Path, wanted: Wanted = Wanted()) -> list[Path]:
    """Draw every figure that the tables in `results` allow, each as PDF, SVG and PNG.

    Args:
        results: run folder with the CSV files that `--collect` writes.
        figures: folder for the pictures; made if absent.
        wanted: which panels of it, and how.

    Returns:
        The files written: NAME or NAME-BACKBONE for every entry of `PLOTS` that has something to draw.

    Raises:
        UserError: a table is not there, or a panel or backbone is wanted that did not run.
    """
    points = read_table(results / "points.csv")
    check_wanted(wanted, points)
    backbones = [wanted.backbone] if wanted.backbone else sorted(points["backbone"].unique())
    shown = [name for name, plot in PLOTS.items() if not plot.optional or has_tables(plot, results)]
    todo = [(name, each) for name in shown for each in (backbones if PLOTS[name].per_backbone else [wanted.backbone])]
    setting = Setting(frozenset(points["method"]), WIDTHS.get(wanted.width), wanted.words, wanted.published)
    # whole paths: a process that is there from before may stand in another folder
    places = (results.resolve(), figures.resolve())
    calls = [(name, backbone, *places, wanted, setting) for name, backbone in todo]
    return [path for paths in call_all(draw_one, calls, "figures") for path in paths]


def check_wanted(wanted: Wanted, points: pd.DataFrame) -> None:
    """Refuse a panel or a backbone that has no points, and a width that there is none of, with the nearest there is."""
    names = {name for row in points[["task", "split"]].drop_duplicates().itertuples() for name in panel_names(row)}
    for name in wanted.panels or ():
        check_choice("panel", name, sorted(names))
    if wanted.backbone is not None:
        check_choice("backbone", wanted.backbone, sorted(points["backbone"].unique()))
    if wanted.width is not None:
        check_choice("width", wanted.width, WIDTHS)


def panel_names(row: object) -> tuple[str, ...]:
    """The names of the panel of a row: its task's, and the one that figures write where a task has two splits."""
    return (row.task, row.task + SPLITS[row.split]) if row.split in SPLITS else (row.task,)


def has_tables(plot: Plot, results: Path) -> bool:
    """Whether a run folder holds every table that a figure is drawn from."""
    return all(has_table(results / f"{table}.csv") for table in plot.tables)


def draw_one(
    name: str, backbone: str | None, results: Path, figures: Path, wanted: Wanted, setting: Setting
) -> list[Path]:
    """Draw and write one figure; the files written, none where there is nothing to draw or no room for it.

    Args:
        name: which of `PLOTS`.
        backbone: the backbone, of a figure that every backbone has, or the only one wanted, else None.
        results: run folder.
        figures: folder for the pictures.
        wanted: which panels.
        setting: how.
    """
    plot = PLOTS[name]
    tables = [part_of(read_table(results / f"{table}.csv"), backbone, wanted) for table in plot.tables]
    if plot.beside:
        path = results / f"{plot.beside}.csv"
        tables.append(part_of(read_table(path), backbone) if has_table(path) else None)
    stem = f"{name}-{backbone}" if plot.per_backbone else name
    with drawn_with(setting):
        try:
            figure = plot.draw(*tables) if len(tables[0]) else None
        except TooNarrow as error:
            print(f"{stem} is not drawn: {error}", file=sys.stderr)
            return []
        return [] if figure is None else save(figure, figures / stem)


def part_of(table: pd.DataFrame, backbone: str | None, wanted: Wanted = Wanted()) -> pd.DataFrame:
    """What a figure draws of a table: one backbone (None: all), panels wanted; a mean over tasks is of all tasks."""
    if backbone is not None:
        table = table[table["backbone"] == backbone]
    if wanted.panels is None:
        return table
    return table[[not {*panel_names(row)}.isdisjoint(wanted.panels) for row in table.itertuples()]]
