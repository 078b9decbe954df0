"""failures.csv: every cell that has no rows in the tables, with its reason."""

from __future__ import annotations

import pandas as pd

from bench.sources.tasks import TASKS
from bench.store.consistency import outdated
from bench.store.folder import RunFolder
from methods.base import Method

FAILURES = ["cell", "suite", "task", "backbone", "method", "variant", "seed", "status", "reason"]


def records_of(folder: RunFolder) -> list[dict]:
    """All records, in the order of the tables: by backbone, task and seed."""
    records, tasks = folder.records(), list(TASKS)
    records.sort(key=lambda r: (r["spec"]["backbone"], tasks.index(r["spec"]["task"]), r["spec"]["seed"], r["label"]))
    return records


def is_current(record: dict, methods: dict[str, Method]) -> bool:
    """Whether a cell is ok and its method has not changed since."""
    return record["status"] == "ok" and outdated(record, methods) is None


def failure_table(records: list[dict], shared: dict, methods: dict[str, Method]) -> pd.DataFrame:
    """Every cell that failed, was skipped or was trained by what a method once was, with its reason."""
    order = {name: i for i, name in enumerate(methods)}
    rows = []
    for record in sorted(records, key=lambda record: order.get(record["spec"]["method"], len(order))):
        status, reason = record["status"], record["reason"]
        if status == "ok":
            status, reason = "outdated", outdated(record, methods)
        if reason is not None:
            about = {"cell": record["key"], "suite": shared["suite"], "status": status, "reason": reason}
            rows.append({**record["spec"], **about})
    return pd.DataFrame(rows, columns=FAILURES)
