"""From traces to tables: every operating point by replay, then curves, intervals and areas.

Everything is read from the files of a run folder, in an order that depends on their content alone, so the same
traces give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import pandas as pd

from bench.files import write_text
from bench.insight import (
    BOUNDS,
    DIFFICULTY,
    DIFFICULTY_KEYS,
    LAYERS,
    bound_rows,
    difficulty_rows,
    layer_rows,
    rank_rows,
    rank_table,
)
from bench.store import RunFolder
from bench.sweep import KEYS, METRICS, Sweep, exit_rows, half_columns, point_rows, sweep
from bench.tables import auc_table, curve_table, knob_table
from bench.tasks import TASKS
from methods.base import Method

POINTS = [*KEYS, "layer_fraction", "metric", "value", *METRICS, "n"]
EXITS = [*KEYS, "layer", "exit_count", "used_count"]
FAILURES = ["cell", "suite", "task", "backbone", "method", "variant", "seed", "status", "reason"]
#: What a point knows beyond its row in points.csv, for areas under held-out budgets.
HALVES = ["x_a", "y_a", "x_b", "y_b", "fallback_a", "fallback_b", "panel_layers"]
EXACT = ["task", "split", "backbone", "method", "seed", "layer_fraction", "value"]
#: The tables that come from traces, with their columns.
FROM_TRACES = {
    "points": [*POINTS, *HALVES],
    "exits": EXITS,
    "exact": EXACT,
    "difficulty": DIFFICULTY,
    "ranks": [*DIFFICULTY_KEYS, "spearman"],
    "layers": LAYERS,
    "bounds": BOUNDS,
}


def collect(folder: RunFolder, methods: dict[str, Method]) -> dict[str, pd.DataFrame]:
    """Write every table of a run folder from its records and traces.

    Args:
        folder: the run folder.
        methods: all known methods, in the order of the tables; run.json says which of them are reported.

    Returns:
        The tables by file name without `.csv`.
    """
    shared, tasks = folder.shared(), list(TASKS)
    records = [record for record in folder.records() if record["spec"]["method"] in methods]
    records.sort(key=lambda r: (r["spec"]["backbone"], tasks.index(r["spec"]["task"]), r["spec"]["seed"], r["label"]))
    finished = [record for record in records if is_current(record, methods)]
    reported = [m for m in methods.values() if m.name in shared.get("methods", {}) or m.reference]
    parts = {name: [] for name in FROM_TRACES}
    for sweeps in panels(folder, finished, reported, shared["suite"]):
        for name, table in panel_tables(sweeps).items():
            parts[name].append(table)
    found = {name: joined(parts[name], columns) for name, columns in FROM_TRACES.items()}
    tables = {
        "points": found["points"][POINTS],
        "exits": found["exits"],
        "curves": curve_table(found["points"], found["exact"]),
        "knobs": knob_table(found["points"]),
        "auc": auc_table(found["points"]),
        "difficulty": found["difficulty"],
        "difficulty_rank": rank_table(found["ranks"]),
        "layers": found["layers"],
        "bounds": found["bounds"],
        "failures": failure_table(records, shared, list(methods)),
    }
    for name, table in tables.items():
        write_text(folder.path / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
    return tables


def is_current(record: dict, methods: dict[str, Method]) -> bool:
    """Whether a cell is ok and was trained by the method's present version."""
    return record["status"] == "ok" and record["spec"]["version"] == methods[record["spec"]["method"]].version


def panels(folder: RunFolder, records: list[dict], reported: list[Method], suite: str) -> Iterator[list[Sweep]]:
    """The sweeps of one panel after the other, in the order of the records; each panel's by method, then seed."""
    for _, group in groupby(records, key=lambda record: (record["spec"]["backbone"], record["spec"]["task"])):
        here = list(group)
        for split in TASKS[here[0]["spec"]["task"]].splits:
            sweeps = [
                sweep(method, record, split, suite, folder.trace_path(record["key"], split))
                for method in reported
                for record in here
                if split in record["splits"] and record["spec"]["method"] == (method.trained_by or method.name)
            ]
            if sweeps:
                yield sweeps


def panel_tables(sweeps: list[Sweep]) -> dict[str, pd.DataFrame]:
    """The rows that one panel adds to each table of `FROM_TRACES`."""
    exact = [s.exact.assign(**s.keys) for s in sweeps if s.exact is not None]
    return {
        "points": joined(
            [point_rows(s).assign(**half_columns(s), panel_layers=s.panel_layers) for s in sweeps],
            FROM_TRACES["points"],
        ),
        "exits": joined([exit_rows(s) for s in sweeps], EXITS),
        "exact": joined(exact, EXACT),
        "difficulty": joined([difficulty_rows(s) for s in sweeps], DIFFICULTY),
        "ranks": joined([rank_rows(s) for s in sweeps], FROM_TRACES["ranks"]),
        "layers": layer_rows(sweeps),
        "bounds": joined([bound_rows(s) for s in sweeps if s.keys["method"] == "dact"], BOUNDS),
    }


def failure_table(records: list[dict], shared: dict, order: list[str]) -> pd.DataFrame:
    """Every cell that failed or was skipped, with its reason."""
    rows = [
        {**record["spec"], "cell": record["key"], "suite": shared["suite"], **{k: record[k] for k in FAILURES[-2:]}}
        for record in sorted(records, key=lambda record: order.index(record["spec"]["method"]))
        if record["status"] != "ok"
    ]
    return pd.DataFrame(rows, columns=FAILURES)


def joined(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """Tables below each other with the given columns, also where there are none."""
    tables = [table for table in tables if len(table)]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
