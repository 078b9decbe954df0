"""Every figure of a run folder in one table (`PLOTS`: its tables, its caption), and the functions that draw them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.style
import pandas as pd
from matplotlib.figure import Figure

from bench.processes import call_all
from bench.report.figures.auc import areas
from bench.report.figures.bounds import bounds
from bench.report.figures.calibration import calibration
from bench.report.figures.difficulty import difficulty
from bench.report.figures.figure2 import difference, figure2
from bench.report.figures.figure3 import figure3
from bench.report.figures.latency import latency
from bench.report.figures.layers import layers
from bench.report.figures.multiples import multiples
from bench.report.figures.page import STYLE, save
from bench.report.figures.risk import risk
from bench.store.csv_files import read_table


@dataclass(frozen=True)
class Plot:
    """One figure, or one per backbone.

    Attributes:
        draw: from the tables to a figure, or None where they hold nothing to draw.
        tables: names of the CSV files that it reads.
        caption: what it shows, in one or two sentences.
        per_backbone: whether every backbone has a figure of its own, `NAME-BACKBONE`.
        optional: drawn only where its tables are there, which not every run has.
    """

    draw: Callable[..., Figure | None]
    tables: tuple[str, ...]
    caption: str
    per_backbone: bool = False
    optional: bool = False


PLOTS = {
    "figure2": Plot(
        figure2, ("points", "curves"), "Performance against computation, as the paper's Figure 2 draws it."
    ),
    "figure3": Plot(figure3, ("knobs", "exits"), "How many examples use each layer (the paper's Figure 3).", True),
    "methods": Plot(
        multiples, ("points", "curves", "references"), "Every method on its own, the others in grey.", True
    ),
    "difference": Plot(
        difference, ("points", "curves"), "What early exit costs or gains: difference to full depth, paired by seed."
    ),
    "auc": Plot(
        areas, ("auc",), "Areas under the curves, with the interval over seeds and the one over examples.", True
    ),
    "risk": Plot(risk, ("risk",), "What a bounded risk costs in layers, and what the naive choice breaks.", True, True),
    "calibration": Plot(
        calibration, ("reliability", "calibration"), "Are answers right as often as they are sure, at exit?", True, True
    ),
    "difficulty": Plot(
        difficulty, ("knobs", "difficulty", "difficulty_rank"), "Do harder examples exit later? At half of the layers."
    ),
    "layers": Plot(layers, ("layers",), "What the halting rules see, layer by layer, for three examples.", True),
    "bounds": Plot(bounds, ("bounds",), "DACT's halting bound: the paper's, the exact one, and slack in it.", True),
    "latency": Plot(
        latency, ("latency",), "What a layer saved is worth in time, by batch size and device.", True, True
    ),
}


def draw_all(results: Path, figures: Path) -> list[Path]:
    """Draw every figure that the tables in `results` allow, each as PDF, SVG and PNG.

    Args:
        results: run folder with the CSV files that `--collect` writes.
        figures: folder for the pictures; made if absent.

    Returns:
        The files written: NAME or NAME-BACKBONE for every entry of `PLOTS` that has something to draw.

    Raises:
        UserError: a table is not there.
    """
    backbones = sorted(read_table(Path(results) / "points.csv")["backbone"].unique())
    shown = [name for name, plot in PLOTS.items() if not plot.optional or has_tables(plot, Path(results))]
    todo = [(name, each) for name in shown for each in (backbones if PLOTS[name].per_backbone else [None])]
    written = call_all(draw_one, [(name, backbone, results, figures) for name, backbone in todo])
    return [path for paths in written for path in paths]


def has_tables(plot: Plot, results: Path) -> bool:
    """Whether a run folder holds every table of a plot."""
    return all((results / f"{table}.csv").is_file() for table in plot.tables)


def draw_one(name: str, backbone: str | None, results: Path, figures: Path) -> list[Path]:
    """Draw and write one figure; the files written, none where there is nothing to draw.

    Args:
        name: which of `PLOTS`.
        backbone: the backbone, of a figure that every backbone has, else None.
        results: run folder.
        figures: folder for the pictures.
    """
    tables = [of_backbone(read_table(Path(results) / f"{table}.csv"), backbone) for table in PLOTS[name].tables]
    with matplotlib.style.context(str(STYLE), after_reset=True):
        figure = PLOTS[name].draw(*tables)
        return [] if figure is None else save(figure, Path(figures) / (f"{name}-{backbone}" if backbone else name))


def of_backbone(table: pd.DataFrame, backbone: str | None) -> pd.DataFrame:
    """The rows of one backbone; all rows for None."""
    return table if backbone is None else table[table["backbone"] == backbone]
