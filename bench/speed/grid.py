"""What our grid of cells saves over the naive one, from the times that the records of a finished run hold.

The paper's grid as we run it against the naive grid, which does stage 1 anew for every method, variant and setting of a
knob. Both are sums: the naive grid runs, for every point of every method, stage 1 where the method starts from it, the
method's own training, and one pass over the validation set.

The share of the workers' time that went into anything but loading, training and tracing, waiting for each other
included: of a run that was made in one go, in the folder where it was made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.plan.methods import rule_spec
from bench.sources.tasks import TASKS
from bench.speed.table import NotMeasured, Row, Settings
from bench.store.folder import RunFolder
from bench.tables.collect import methods_of


def measure(settings: Settings) -> Iterator[Row]:
    """The naive grid's time over ours, and the share of the workers' time that no work took."""
    settings.need("results")
    folder = RunFolder(Path(settings.results))
    records = {record["key"]: record for record in folder.records() if record["status"] == "ok"}
    if not records:
        raise NotMeasured(f"'{settings.results}' holds no finished cells")
    ours = sum(record["seconds"]["all"] for record in records.values())
    naive = sum(points * on_its_own(record, records) for record, points in sweeps(folder, records))
    what = f"{len(records)} cells of suite {folder.shared()['suite']}"
    yield Row(f"naive grid / our grid, {what}", naive / ours, "times")
    yield Row(f"outside loading, training and tracing, {what}", outside(folder, records), "of the time", "<= 0.05")


def sweeps(folder: RunFolder, records: dict[str, dict]) -> Iterator[tuple[dict, int]]:
    """Every method's replay of every cell: the cell's record and the number of settings of the method's knob."""
    shared = folder.shared()["methods"]
    for name, method in methods_of(folder).items():
        for record in records.values():
            spec = record["spec"]
            if name in shared and spec["method"] == (method.trained_by or name):
                asked = rule_spec(method, record["layers"], TASKS[spec["task"]].num_labels, spec["variant"])
                yield record, len(method.knob(asked).values)


def on_its_own(record: dict, records: dict[str, dict]) -> float:
    """Seconds that a cell would take if none shared its start: with the training of that model, but not its trace."""
    start = records.get(record["spec"]["start"])
    return record["seconds"]["all"] + (start["seconds"]["train"] if start else 0.0)


def outside(folder: RunFolder, records: dict[str, dict]) -> float:
    """Our grid's overhead: the share of the workers' time, from first start to last end, that no cell's work took.

    A record is written when its cell ends. As many workers as cells that ran at once.
    """
    ends = np.array([folder.record_path(key).stat().st_mtime for key in records])
    starts = ends - [record["seconds"]["all"] for record in records.values()]
    at_once = max(np.sum((starts <= start) & (start < ends)) for start in starts)
    work = sum(record["seconds"][part] for record in records.values() for part in ("load", "train", "trace"))
    return float(1 - work / (at_once * (ends.max() - starts.min())))
