"""The risks of a panel, computed once: kept in the run folder under a hash of all that they come from.

Choosing over a hundred splits takes longer than every other table together, and depends on the traces alone.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from bench.halting.sweep import PanelSweeps, Rows, Sweep
from bench.store.code_hash import PROJECT, hash_of
from bench.store.files import read_json, write_text
from bench.store.folder import RunFolder
from bench.tables.risk import risk_rows

#: The code that the rows come from, besides the methods.
CODE = ("tables/risk.py", "statistics/risk.py", "statistics/paths.py", "halting/replay.py", "halting/sweep.py")


def cached_risk(folder: RunFolder, records: list[dict], split: str, sweeps: PanelSweeps) -> Iterator[Rows]:
    """The rows of `risk_rows`, from the run folder where they were computed from the same traces by the same code.

    Args:
        folder: the run folder.
        records: the records of the panel's cells.
        split: the split of the task.
        sweeps: all sweeps of the panel.
    """
    key = key_of(folder, records, split, sweeps)
    names = (str(sweeps[0].keys[name]) for name in ("backbone", "task", "split"))
    path = folder.path / "risk" / f"{'-'.join(names)}.json"
    kept = read_json(path) or {}  # nothing is kept yet, or it was damaged
    if kept.get("key") != key:
        started = time.perf_counter()
        rows = [plain(row) for row in risk_rows(sweeps)]
        kept = {"key": key, "seconds": round(time.perf_counter() - started, 3), "rows": rows}
        path.parent.mkdir(exist_ok=True)
        write_text(path, json.dumps(kept))
    yield from kept["rows"]


def key_of(folder: RunFolder, records: list[dict], split: str, sweeps: Iterable[Sweep]) -> str:
    """A hash of the traces of a panel, of which methods replay them, and of the code that makes the rows."""
    outside = [Path(file) for file in folder.shared().get("methods", {}).values() if file]
    code = [*(PROJECT / "bench" / name for name in CODE), *sorted((PROJECT / "methods").glob("*.py")), *outside]
    traces = {record["key"]: record["traces"].get(split) for record in records}
    content = [hash_of(code), traces, [[one.keys["cell"], one.keys["method"]] for one in sweeps]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def plain(row: Rows) -> Rows:
    """A row of a panel's risks as JSON keeps it: numbers and texts."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
