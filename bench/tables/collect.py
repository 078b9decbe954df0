"""From traces to tables: every operating point by replay, then curves, intervals and areas.

Everything is read from the files of a run folder, in an order that depends on their content alone, so the same
traces give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import pandas as pd
from pandas.api.types import union_categoricals

from bench.halting.sweep import KEYS, METRICS, Rows, Sweep, concat_rows, exit_rows, point_rows, sweep
from bench.plan.methods import methods_with_files
from bench.processes import call_all
from bench.sources.tasks import TASKS
from bench.store.consistency import check_records
from bench.store.csv_files import write_table
from bench.store.folder import RunFolder
from bench.tables.auc import auc_table, budget_table, mean_rank_table, score_table
from bench.tables.curves import CURVES, curve_table
from bench.tables.difficulty import DIFFICULTY, RANKS, difficulty_rows, rank_rows, rank_table
from bench.tables.failures import failure_table, is_current, records_of
from bench.tables.knobs import knob_table, stability_table
from bench.tables.paired import paired_table
from bench.tables.references import REFERENCES, reference_rows, verdict_table
from bench.tables.reproduction import reproduction_table
from bench.tables.rules import BOUNDS, CONFIDENCE, LAYERS, bound_rows, confidence_rows, layer_rows
from bench.tables.scores import Scores, panel_scores
from bench.tables.transfer import CHOICES, transfer_rows, transfer_table
from methods.base import Method

POINTS = [*KEYS, "layer_fraction", "mac_fraction", "metric", "value", *METRICS, "n", "accumulation"]
#: The tables that come from traces, panel by panel, with their columns.
FROM_TRACES = {
    "points": [*POINTS, "panel_layers"],
    "exits": [*KEYS, "layer", "exit_count", "used_count"],
    "exact": ["task", "split", "backbone", "method", "variant", "seed", "layer_fraction", "value"],
    "difficulty": DIFFICULTY,
    "ranks": RANKS,
    "layers": LAYERS,
    "bounds": BOUNDS,
    "confidence": CONFIDENCE,
    "choices": CHOICES,
    "references": REFERENCES,
}
#: What a panel hands over: its curves instead of the many points that the exact ones are made of.
BY_PANEL = {**{name: columns for name, columns in FROM_TRACES.items() if name != "exact"}, "curves": CURVES}


def collect(folder: RunFolder, methods: dict[str, Method]) -> dict[str, pd.DataFrame]:
    """Write every table of a run folder from its records and traces.

    Args:
        folder: the run folder.
        methods: all known methods, in the order of the tables; run.json says which of them are reported.

    Returns:
        The tables by file name without `.csv`.

    Raises:
        UserError: see `check_records`.
    """
    shared = folder.shared()
    records = records_of(folder)
    check_records(folder.path, [each for each in records if is_current(each, methods)], shared)
    done = call_all(panel, panels(folder, records, methods))
    rivals = [method.name for method in reported(methods, shared) if not method.reference]
    found = stacked([tables for tables, _ in done])
    tables = derived_tables(found, [scores for _, scores in done], rivals)
    tables["reproduction"] = reproduction_table(tables)
    tables["failures"] = failure_table(records, shared, methods)
    for name, table in tables.items():
        write_table(folder.path / f"{name}.csv", table)
    return tables


def derived_tables(found: dict[str, pd.DataFrame], scores: list[Scores], rivals: list[str]) -> dict[str, pd.DataFrame]:
    """Every table but failures.csv, from the rows of traces and the scores of panels."""
    points = found["points"]
    return {
        "points": points[POINTS],
        "exits": found["exits"],
        "curves": found["curves"],
        "knobs": knob_table(points),
        "scores": score_table(scores),
        "auc": auc_table(scores),
        "budgets": budget_table(scores),
        "paired": paired_table(scores, rivals),
        "ranks": mean_rank_table(scores, rivals),
        "stability": stability_table(points, scores),
        "transfer": transfer_table(found["choices"]),
        "difficulty": found["difficulty"],
        "difficulty_rank": rank_table(found["ranks"]),
        "layers": found["layers"],
        "bounds": found["bounds"],
        "confidence": found["confidence"],
        "references": found["references"],
        "verdicts": verdict_table(found["references"]),
    }


def reported(methods: dict[str, Method], shared: dict) -> list[Method]:
    """The methods that run.json asks for, and reference curves wherever there is something to replay."""
    return [method for method in methods.values() if method.name in shared["methods"] or method.reference]


def panels(
    folder: RunFolder, records: list[dict], methods: dict[str, Method]
) -> Iterator[tuple[RunFolder, list[dict], str]]:
    """The arguments of `panel` for one panel after the other, in the order of the records; finished cells count."""
    finished = [record for record in records if is_current(record, methods) and folder.has_traces(record)]
    for (_, task), group in groupby(finished, key=lambda record: (record["spec"]["backbone"], record["spec"]["task"])):
        here = list(group)
        for split in TASKS[task].splits:
            if any(split in record["traces"] for record in here):
                yield folder, here, split


def panel(folder: RunFolder, records: list[dict], split: str) -> tuple[dict[str, pd.DataFrame], Scores]:
    """Replay everything in one panel, by method, then seed; runs in a process of its own.

    Args:
        folder: the run folder.
        records: the records of the panel's finished cells.
        split: the split of the task.

    Returns:
        The rows that the panel adds to the tables of `BY_PANEL`, and the scores.
    """
    sweeps = panel_sweeps(folder, records, split)
    return panel_tables(panel_rows(sweeps)), panel_scores(sweeps)


def panel_sweeps(folder: RunFolder, records: list[dict], split: str) -> list[Sweep]:
    """The sweeps of one panel; see `panel`."""
    shared = folder.shared()
    return [
        sweep(method, record, split, shared["suite"], folder.trace_path(record["key"], split))
        for method in reported(methods_of(folder), shared)
        for record in records
        if split in record["traces"] and record["spec"]["method"] == (method.trained_by or method.name)
    ]


def panel_tables(rows: Iterable[tuple[str, Rows]]) -> dict[str, pd.DataFrame]:
    """The tables of `BY_PANEL` from rows for those of `FROM_TRACES`, each with the table's name."""
    parts: dict[str, list[Rows]] = {name: [] for name in FROM_TRACES}
    for name, some in rows:
        parts[name].append(some)
    tables = {name: concat_rows(parts.pop(name), columns) for name, columns in FROM_TRACES.items()}
    return tables | {"curves": curve_table(tables["points"], tables.pop("exact"))}


def stacked(by_panel: list[dict[str, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """The tables of panels below each other; each is taken out of them, so that it is not there twice for long.

    Tables without rows have no say in what the columns are.
    """
    found = {}
    for name, columns in BY_PANEL.items():
        filled = [table for table in (tables.pop(name) for tables in by_panel) if len(table)]
        below = {column: concatenated([table.pop(column) for table in filled]) for column in columns if filled}
        found[name] = pd.DataFrame(below, columns=columns)
    return found


def concatenated(columns: list[pd.Series]) -> pd.Series:
    """Columns below each other; categories stay categories."""
    if isinstance(columns[0].dtype, pd.CategoricalDtype):
        return pd.Series(union_categoricals(columns, sort_categories=True))
    return pd.concat(columns, ignore_index=True)


def panel_rows(sweeps: list[Sweep]) -> Iterator[tuple[str, Rows]]:
    """The rows that one panel adds to the tables of `FROM_TRACES`, each with the table's name."""
    for one in sweeps:
        yield from curve_rows(one)
        for name, rows in (("difficulty", difficulty_rows), ("ranks", rank_rows), ("bounds", bound_rows)):
            yield from ((name, part) for part in rows(one))
        yield from (("confidence", part) for part in confidence_rows(one))
    yield from (("layers", part) for part in layer_rows(sweeps))
    yield from (("choices", part) for part in transfer_rows(sweeps))
    yield from (("references", part) for part in reference_rows(sweeps))


def curve_rows(one: Sweep) -> Iterator[tuple[str, Rows]]:
    """The rows of points.csv and exits.csv of one sweep, and those that curves.csv is made of."""
    yield "points", {**point_rows(one), "panel_layers": one.panel_layers}
    yield "exits", exit_rows(one)
    if one.exact is not None:
        yield "exact", {**one.keys, **one.exact}


def methods_of(folder: RunFolder) -> dict[str, Method]:
    """All methods of the project and those from outside it that a run folder reports."""
    shared = folder.shared()
    files = sorted({file for file in shared.get("methods", {}).values() if file})
    return methods_with_files(files, shared.get("compat", "equal"))
