"""Write everything that people read about a run folder (tables, LaTeX, figures, report), or compare two."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.report.uptodate import inputs_of, stamp
from bench.store.beside import open_run
from bench.store.files import make_writable
from bench.store.folder import RunFolder
from bench.store.locks import exclusive

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Outputs:
    """What was made of a run folder: its tables by file name without `.csv`, the figure files, and the report."""

    tables: dict[str, pd.DataFrame]
    pictures: list[Path]
    report: Path


def collect_and_draw(folder: RunFolder, figures: Path, focus: str | None = None) -> int:
    """Write tables, LaTeX, figures and report of a run folder; the exit status is that of `status_of`."""
    from bench.tables.again import again_line
    from bench.tables.failures import LEFT_OUT

    folder.needed()
    run = open_run(folder.path)  # with the published run that it may stand beside
    with exclusive(folder, "tables"):  # of two runs that end together, the second sees everything
        inputs = inputs_of(folder)  # before: what another run finishes meanwhile is not in the tables
        made = write_outputs(run, figures, focus)
        csv = (folder.path / f"{name}.csv" for name in made.tables)
        stamp(folder, figures, focus, inputs, [*csv, *made.pictures, made.report])
    points, left_out = made.tables["points"], (made.tables["failures"]["status"] == LEFT_OUT).sum()
    read = f"{len(made.pictures)} figure files in {figures}; read {made.report}"
    print(f"{len(points)} points in {folder.path}, {read}")
    if "again" in made.tables:
        print(again_line(made.tables["again"]))
    if left_out:
        print(f"{left_out} finished cells left out, see {folder.path / 'failures.csv'}", file=sys.stderr)
    return status_of(folder)


def write_outputs(run: RunFolder, figures: Path, focus: str | None = None) -> Outputs:
    """Write tables, LaTeX, figures and report of a run folder, as `open_run` gives it; its lock "tables" is held."""
    from bench.report.figures import draw_all
    from bench.report.figures.draw import Wanted
    from bench.report.figures.setting import Setting, set_to
    from bench.report.html import write_report
    from bench.report.latex import write_latex
    from bench.tables.collect import collect, methods_of

    known = methods_of(run)
    tables = collect(run, known, focus)
    published = run.shared().get("published", {})
    with set_to(Setting(published=published)):
        write_latex(run.path / "latex", tables)
    make_writable(figures, "figures")
    pictures = draw_all(run.path, figures, Wanted(published=published)) if len(tables["points"]) else []
    return Outputs(tables, pictures, write_report(run, known, pictures))


def status_of(folder: RunFolder) -> int:
    """The exit status of a run folder, 1 where a cell has failed or is damaged; says so on the error stream."""
    counts = Counter(record["status"] for record in folder.records())
    for status in ("failed", "skipped"):
        if counts[status]:
            print(f"{counts[status]} cells {status}, see {folder.path / 'failures.csv'}", file=sys.stderr)
    damaged = folder.damaged()
    if damaged:
        what = f"{len(damaged)} files are not as they were written and were left out, first '{damaged[0]}'"
        print(f"{what}: the command that made them makes them again", file=sys.stderr)
    return int(counts["failed"] > 0 or bool(damaged))


def compare_and_draw(runs: list[str], folder: RunFolder, figures: Path) -> int:
    """Write comparison.csv and its figure: the paired difference B - A of two results folders."""
    from bench.report.figures.comparison import draw_comparison
    from bench.tables.comparison import compare_runs

    run_a, run_b = (RunFolder(Path(path)) for path in runs)
    found = compare_runs(run_a, run_b, folder)
    make_writable(figures, "figures")
    pictures = draw_comparison(run_a, run_b, figures)
    where = f"{folder.path / 'comparison.csv'}, {len(pictures)} figure files in {figures}"
    print(f"{len(found)} differences B - A in {where}")
    return 0
