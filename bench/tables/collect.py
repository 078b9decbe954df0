"""Collecting: every table of a run folder, from the records and traces of its finished cells.

Everything is read from the files of a run folder, in an order that depends on their content alone, so the same
traces give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import pandas as pd
from pandas.api.types import union_categoricals

from bench.halting.sweep import Sweep, sweep
from bench.plan.methods import methods_with_files
from bench.processes import call_all
from bench.sources.tasks import task_of
from bench.store.beside import Beside
from bench.store.consistency import check_records, outdated
from bench.store.csv_files import write_table
from bench.store.folder import PLATEAU_FOLDER, RunFolder
from bench.tables.again import AGAIN, again_table
from bench.tables.columns import concat_rows
from bench.tables.contrasts import Compared
from bench.tables.curves import CURVES, curve_table
from bench.tables.effects import EFFECTS, effect_rows
from bench.tables.failures import finished, records_of
from bench.tables.focus import focused
from bench.tables.headline import PanelSavings, Savings
from bench.tables.registry import FROM_TRACES, TABLES, Material
from bench.tables.risk import RISK
from bench.tables.risk_cache import cached_risk
from bench.tables.scores import Scores, panel_scores
from methods.base import Method

#: What a panel hands over: its curves instead of the many points that the exact ones are made of.
BY_PANEL = {name: rows.columns for name, rows in FROM_TRACES.items() if name != "exact"}
BY_PANEL |= {"curves": CURVES, "effects": EFFECTS, "risk": RISK}

#: From so many models on, two panels are worth a process.
MANY = 100


def collect(folder: RunFolder, methods: dict[str, Method], focus: str | None = None) -> dict[str, pd.DataFrame]:
    """Write every table of a run folder from its records and traces.

    Args:
        folder: the run folder.
        methods: all known methods, in the order of the tables; run.json says which of them are reported.
        focus: the method that focus.csv is about, or None to choose one (`focused`).

    Returns:
        The tables by file name without `.csv`; beside a published run also `again`.

    Raises:
        UserError: see `check_records` and `focused`.
    """
    shared = folder.shared()
    records = records_of(folder)
    check_records(folder.path, [record for record in records if not outdated(record, methods)], shared)
    counting, others = finished(folder, records, methods)
    rivals = [method.name for method in reported(methods, shared)]
    own = [name for name in shared["methods"] if name not in shared.get("published", {})]
    about = focused(focus, rivals, [name for name in own if shared["methods"][name]])
    # a panel of many models takes longer than a process needs to start
    how = {"per_process": 2} if len(counting) >= MANY else {}
    done = call_all(panel, panels(folder, counting), "tables, by panel", **how)
    tables, scores, savings = ([each[part] for each in done] for part in range(3))
    material = Material(
        rows=stacked(tables),
        scores=[panel for panels in scores for panel in panels],
        savings=savings,
        latency=folder.path / "latency.csv",
        plateau=folder.path / PLATEAU_FOLDER,
        rivals=rivals,
        focus=about,
        others=others,
        suite=shared["suite"],
        methods=list(methods),
        again=again_table(folder) if isinstance(folder, Beside) else pd.DataFrame(columns=AGAIN),
        own=own,
    )
    for name, table in TABLES.items():
        material.tables[name] = table.make(material)
        write_table(folder.path / f"{name}.csv", material.tables[name])
    if isinstance(folder, Beside):
        material.tables["again"] = material.again
        write_table(folder.path / "again.csv", material.again)
    return material.tables


def reported(methods: dict[str, Method], shared: dict) -> list[Method]:
    """What collecting reports: the methods of run.json, and reference curves wherever there is something to replay."""
    return [method for method in methods.values() if method.name in shared["methods"] or method.reference]


def panels(folder: RunFolder, records: Sequence[dict]) -> Iterator[tuple[RunFolder, list[dict], str]]:
    """The arguments of `panel` for one panel after the other, in the order of the records of finished cells."""
    for _, group in groupby(records, key=lambda record: (record["spec"]["backbone"], record["spec"]["task"])):
        here = list(group)
        for split in task_of(here[0]["spec"]).validation_splits:
            if any(split in record["traces"] for record in here):
                # a whole path: a process that is there from before may stand in another folder
                yield replace(folder, path=folder.path.resolve()), here, split


def panel(folder: RunFolder, records: list[dict], split: str) -> tuple[dict[str, pd.DataFrame], list[Scores], Savings]:
    """Replay everything in one panel, by method, then seed; runs in a process of its own.

    Args:
        folder: the run folder.
        records: the records of the panel's finished cells.
        split: the split of the task.

    Returns:
        The rows that the panel adds to the tables of `BY_PANEL`, its scores at every resolution, and what the headline
        is made of.
    """
    sweeps = panel_sweeps(folder, records, split)
    savings = PanelSavings(sweeps)
    scores = [panel_scores(sweeps, "exact", also=savings.add), panel_scores(sweeps, "grid")]
    effects = concat_rows(list(effect_rows(Compared.of(scores[0], sweeps))), EFFECTS)
    risk = concat_rows(list(cached_risk(folder, records, split, sweeps)), RISK)
    return panel_tables(sweeps) | {"effects": effects, "risk": risk}, scores, savings.found()


def panel_sweeps(folder: RunFolder, records: list[dict], split: str) -> list[Sweep]:
    """The sweeps of one panel that is collected; see `panel`."""
    shared = folder.shared()
    return [
        sweep(method, record, split, shared["suite"], folder.trace(record["key"], split))
        for method in reported(methods_of(folder), shared)
        for record in records
        if split in record["traces"] and record["spec"]["method"] == (method.trained_by or method.name)
    ]


def panel_tables(sweeps: list[Sweep], names: Sequence[str] = tuple(FROM_TRACES)) -> dict[str, pd.DataFrame]:
    """The rows of one panel for the tables of `BY_PANEL`.

    Args:
        sweeps: all sweeps of the panel.
        names: those of `FROM_TRACES` that are made; the others stay empty.
    """
    tables = {
        name: concat_rows(list(rows.of(sweeps)) if name in names else [], rows.columns)
        for name, rows in FROM_TRACES.items()
    }
    return tables | {"curves": curve_table(tables["points"], tables.pop("exact")), "risk": concat_rows([], RISK)}


def stacked(by_panel: list[dict[str, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """Collected tables of panels below each other; each is taken out of them, so that it is not there twice for long.

    Tables without rows have no say in what the columns are.
    """
    found = {}
    for name, columns in BY_PANEL.items():
        filled = [table for table in (tables.pop(name) for tables in by_panel) if len(table)]
        below = {column: concatenated([table.pop(column) for table in filled]) for column in columns if filled}
        found[name] = pd.DataFrame(below, columns=columns)
    return found


def concatenated(columns: list[pd.Series]) -> pd.Series:
    """Columns of collected tables below each other; categories stay categories."""
    if isinstance(columns[0].dtype, pd.CategoricalDtype):
        return pd.Series(union_categoricals(columns, sort_categories=True))
    return pd.concat(columns, ignore_index=True)


def methods_of(folder: RunFolder) -> dict[str, Method]:
    """All methods of the project and those from outside it that a run folder reports."""
    shared = folder.shared()
    files = sorted({file for file in shared.get("methods", {}).values() if file})
    return methods_with_files(files, shared.get("compat", "equal"))
