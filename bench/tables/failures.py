"""failures.csv: every cell that has no rows in the other tables, with its reason."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.sources.tasks import TASKS
from bench.store.consistency import outdated
from bench.store.folder import RunFolder
from methods.base import Methods

FAILURES = ["cell", "suite", "task", "backbone", "method", "variant", "seed", "status", "reason"]
#: The status of a finished cell whose numbers are not in the tables.
LEFT_OUT = "left out"


def records_of(folder: RunFolder) -> list[dict]:
    """What failures.csv goes through: all records of a run folder, by backbone, task and seed."""
    order = {task: place for place, task in enumerate(TASKS)}

    def place(record: dict) -> tuple:
        spec = record["spec"]
        return spec["backbone"], order.get(spec["task"], len(order)), spec["task"], spec["seed"], record["label"]

    return sorted(folder.records(), key=place)


def finished(folder: RunFolder, records: Sequence[dict], methods: Methods) -> tuple[list[dict], list[dict]]:
    """The records of finished cells that count, and copies of all others, each with the reason why it does not.

    Args:
        folder: the run folder.
        records: its records.
        methods: all known methods.
    """
    counting, others = [], []
    for record in records:
        if record["status"] != "ok":
            others.append(record)
        elif reason := why_left_out(folder, record, methods):
            others.append({**record, "status": LEFT_OUT, "reason": reason})
        else:
            counting.append(record)
    return counting, others


def why_left_out(folder: RunFolder, record: dict, methods: Methods) -> str:
    """For failures.csv: why a cell that is ok has no rows in the tables; empty where it has."""
    return outdated(record, methods) or (
        "" if folder.has_traces(record) else "a trace is missing or not as it was written: run again"
    )


def failure_table(others: Sequence[dict], suite: str, methods: Sequence[str]) -> pd.DataFrame:
    """failures.csv: cells that failed, were skipped or left out, in the order of the methods, unknown ones last."""
    order = {name: place for place, name in enumerate(methods)}
    rows = [
        {**record["spec"], "cell": record["key"], "suite": suite, **{k: record[k] for k in FAILURES[-2:]}}
        for record in sorted(others, key=lambda record: order.get(record["spec"]["method"], len(order)))
    ]
    return pd.DataFrame(rows, columns=FAILURES)
