"""failures.csv: every cell that has no rows in the tables, with its reason."""

from __future__ import annotations

import pandas as pd

from bench.sources.tasks import TASKS
from bench.store.folder import RunFolder
from methods.base import Method

FAILURES = ["cell", "suite", "task", "backbone", "method", "variant", "seed", "status", "reason"]


def records_of(folder: RunFolder, methods: dict[str, Method]) -> list[dict]:
    """The records of known methods, in the order of the tables: by backbone, task and seed."""
    records, tasks = [record for record in folder.records() if record["spec"]["method"] in methods], list(TASKS)
    records.sort(key=lambda r: (r["spec"]["backbone"], tasks.index(r["spec"]["task"]), r["spec"]["seed"], r["label"]))
    return records


def is_current(record: dict, methods: dict[str, Method]) -> bool:
    """Whether a cell is ok and was trained by the method's present version."""
    return record["status"] == "ok" and record["spec"]["version"] == methods[record["spec"]["method"]].version


def failure_table(records: list[dict], shared: dict, order: list[str]) -> pd.DataFrame:
    """Every cell that failed or was skipped, with its reason."""
    rows = [
        {**record["spec"], "cell": record["key"], "suite": shared["suite"], **{k: record[k] for k in FAILURES[-2:]}}
        for record in sorted(records, key=lambda record: order.index(record["spec"]["method"]))
        if record["status"] != "ok"
    ]
    return pd.DataFrame(rows, columns=FAILURES)
