"""report.html: one file that opens from disk without a network and says what was run, what came out, how to repeat it.

Everything is read from the files of a run folder and holds no date, so the same files give the same bytes.
"""

from __future__ import annotations

import inspect
import os
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.report.figures import PLOTS
from bench.report.figures.looks import GENERATED, family
from bench.report.latex import CHOICE_TITLES
from bench.sources.tasks import TASKS
from bench.store.csv_files import read_fields
from bench.store.files import write_text
from bench.store.folder import RunFolder
from bench.tables.again import SAYS as AGAIN_SAYS
from bench.tables.columns import ENDS
from bench.tables.failures import LEFT_OUT
from bench.tables.registry import TABLES
from methods.base import Method, Methods

#: The tables that say what was run and what was left out.
FACTS = ("points.csv", "failures.csv")
#: The figure that stands before all others.
FIRST = "figure2"
#: Behind the name of a method that was not trained in this run.
MARK = " †"
#: Columns that hold the name of a method.
NAMING = ("method", "method_a", "method_b", "focus", "rival", "best", "winner")


@dataclass(frozen=True)
class Drawing:
    """One figure of the report.

    Attributes:
        name: the stem of its files.
        caption: what it shows.
        svg: inline SVG; its ids carry the figure's name, because a page has one namespace.
        links: format -> address, relative to the run folder.
    """

    name: str
    caption: str
    svg: Markup
    links: dict[str, str]


@dataclass(frozen=True)
class Grid:
    """A CSV file as the page shows it: file name without `.csv`, what it says, header, rows as text."""

    name: str
    caption: str
    header: list[str]
    rows: list[list[str]]

    @property
    def example(self) -> str:
        """Words for the filter that choose some of the rows: task, backbone and method of the first row."""
        if not self.rows:
            return ""
        values = {name: [row[at] for row in self.rows] for at, name in enumerate(self.header)}
        choosing = [name for name in ("task", "backbone", "method") if len(set(values.get(name, ()))) > 1]
        return " ".join(values[name][0] for name in choosing).replace(MARK, "") or self.rows[0][0]


def write_report(folder: RunFolder, methods: Methods, figures: list[Path]) -> Path:
    """Write report.html into a run folder whose tables and figures are written.

    Args:
        folder: the run folder.
        methods: all known methods; run.json says which of them are reported.
        figures: the figure files, as `draw_all` returned them.

    Returns:
        The file's path.
    """
    run = folder.shared()
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # names and reasons come from outside
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawings = [drawing(path, folder.path) for path in figures if path.suffix == ".svg"]
    text = environment.get_template("template.html.jinja").render(
        run=run,
        facts=facts(run, folder.records(), *(read_fields(folder.path / name)[1] for name in FACTS)),
        generated=run["suite"].startswith(GENERATED),
        published=by_source(run.get("published", {})),
        first=next((one for one in drawings if one.name == FIRST), None),
        drawings=[one for one in drawings if one.name != FIRST],
        tables=[marked(table, run) for table in shown_tables(folder.path)],
        failures=grid(folder.path, "failures"),
        headline=marked(headline_of(folder.path), run),
        claims=claims_of(folder.path),
        citations={name: paragraphs(methods[name]) for name in methods if name in run["methods"]},
        environments=folder.environments(),
        files=[
            path.relative_to(folder.path)
            for kind in ("*.csv", "latex/*.tex")
            for path in sorted(folder.path.glob(kind))
        ],
    )
    path = folder.path / "report.html"
    write_text(path, text)
    return path


def shown_tables(folder: Path) -> list[Grid]:
    """The tables that report.html shows, in its reader's order; that of models trained again where there is one."""
    again = [Grid("again", AGAIN_SAYS, *read_rows(folder, "again"))] if (folder / "again.csv").is_file() else []
    return [grid(folder, name) for name, table in TABLES.items() if table.shown] + again


def by_source(published: dict[str, str]) -> dict[str, list[str]]:
    """For report.html: the methods that were not trained in a run, by where they come from."""
    found: dict[str, list[str]] = {}
    for name, source in published.items():
        found.setdefault(source, []).append(name)
    return found


def marked(table: Grid | None, run: dict) -> Grid | None:
    """A table in report.html with a mark behind the names of the methods that were not trained in the run."""
    published = run.get("published", {})
    if table is None or not published:
        return table
    places = {at for at, name in enumerate(table.header) if name in NAMING}
    rows = [
        [f"{text}{MARK}" if at in places and text in published else text for at, text in enumerate(row)]
        for row in table.rows
    ]
    return replace(table, rows=rows)


def facts(run: dict, records: list[dict], points: list[dict], failures: list[dict]) -> dict[str, str]:
    """What report.html says was run, and on what: term -> description.

    Args:
        run: content of run.json.
        records: the cells' records.
        points: rows of points.csv.
        failures: rows of failures.csv.
    """
    states = Counter(row["status"] for row in failures)
    states["ok"] = len(records) - states.total()
    rows = {(row["task"], row["split"]): row["n"] for row in points}
    return {
        "Suite": f"{run['suite']} ({run['title']})",
        "Tasks": ", ".join(
            f"{TASKS[task].title if task in TASKS else task} ({split}: {n} examples)"
            for (task, split), n in rows.items()
        ),
        "Training rows": training_rows(run),
        "Backbones": ", ".join(family(name) for name in sorted({row["backbone"] for row in points})),
        "Methods": ", ".join(run["methods"]),
        "Seeds": ", ".join(map(str, sorted({int(row["seed"]) for row in points}))),
        "Precision": run["precision"],
        "Cells": ", ".join(f"{states[state]} {state}" for state in ("ok", "failed", "skipped", LEFT_OUT)),
        "Computation": f"{sum(cell.get('seconds', {}).get('all', 0) for cell in records) / 60:.1f} minutes in cells",
    }


def training_rows(run: dict) -> str:
    """How many training rows the cells of a run read, in words for report.html."""
    rows = f"{run['limit']} per task" if run["limit"] else "all"
    few = [f"{task} {limits['train']}" for task, limits in run.get("limits", {}).items() if "train" in limits]
    return f"{rows}, at most: {', '.join(few)}" if few else rows


def paragraphs(method: Method) -> list[str]:
    """The docstring of a method, its citation and its exact rule, in paragraphs for report.html."""
    return [" ".join(part.split()) for part in inspect.getdoc(type(method)).split("\n\n")]


def drawing(svg: Path, base: Path) -> Drawing:
    """A figure file and its siblings, ready for report.html.

    Args:
        svg: the SVG file.
        base: the folder that links start from.
    """
    links = {kind: os.path.relpath(svg.with_suffix(f".{kind}"), base) for kind in ("pdf", "svg", "png")}
    name, _, backbone = svg.stem.partition("-")
    caption = PLOTS[name].caption + (f" Backbone: {family(backbone)}." if backbone else "")
    return Drawing(svg.stem, caption, inline(svg.read_text(encoding="utf8"), svg.stem), links)


def inline(svg: str, prefix: str) -> Markup:
    """An SVG file as part of report.html: own ids, no prologue, nothing that nobody can see: it is half of the page."""
    svg = re.sub(r"<title>.*?</title>\s*<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], count=1, flags=re.S)
    svg = re.sub(r"<!--.*?-->|(?<=<g) id=\"[^\"]*\"|(?<=\n) +", "", svg)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r'\b(?:d|x|y|transform)="[^"]*"', lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m[0]), svg)
    return Markup(svg.replace("<svg ", '<svg aria-hidden="true" ', 1))


def headline_of(folder: Path) -> Grid | None:
    """headline.csv in report.html, for a reader in a hurry: a row per method, means over tasks, per cent and points."""
    rows = [row for row in read_fields(folder / "headline.csv")[1] if row["task"] == "mean"]
    found: dict[tuple[str, str], list[str]] = {}
    header = ["backbone", "method"]
    for choice, name in CHOICE_TITLES.items():
        header += [f"{name}: {what}" for what in ("layers saved %", "loss", "tasks")]
        for row in rows:
            cells = found.setdefault((row["backbone"], row["method"]), [row["backbone"], row["method"]])
            if row["quantity"] in ("layers_saved", "loss"):
                cells.append(in_points(row, choice))
            if row["quantity"] == "loss":
                cells.append(f"{row[f'{choice}_tasks']} of {row['tasks']}")
    caption = TABLES["headline"].says + " In [ ] the interval over seeds, in ( ) that over examples."
    return Grid("headline-means", caption, header, list(found.values())) if found else None


def in_points(row: dict[str, str], name: str) -> str:
    """A number in report.html with its intervals over seeds and over examples, where it has them, times 100."""
    ends = [row.get(f"{name}{end}", "") for end in ENDS]
    mean, low, high, boot_low, boot_high = (f"{100 * float(end):.1f}" if end else "" for end in ends)
    return mean + (f" [{low}, {high}]" if low else "") + (f" ({boot_low}, {boot_high})" if boot_low else "")


def claims_of(folder: Path) -> Grid | None:
    """reproduction.csv as report.html shows it, or None where a run has no points."""
    claims = grid(folder, "reproduction")
    return claims if claims.rows else None


def grid(folder: Path, name: str) -> Grid:
    """A table of a run folder as report.html shows it, with what one learns from it."""
    return Grid(name, TABLES[name].says, *read_rows(folder, name))


def read_rows(folder: Path, name: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table in report.html; without the suite, the same everywhere, and the long keys of cells."""
    columns, rows = read_fields(folder / f"{name}.csv")
    header = [column for column in columns if column not in ("suite", "cell")]
    return header, [[short(row[column]) for column in header] for row in rows]


def short(text: str) -> str:
    """Four digits of a number with decimals, for report.html; other text as it is."""
    return f"{float(text):.4g}" if re.fullmatch(r"-?\d+\.\d+(e-?\d+)?", text) else text
