"""The paper's grid as we run it against the naive grid: stage 1 anew for every method, variant and setting of a knob.

Both are sums of the times that the cells of a finished run have measured. The naive grid runs, for every point of every
method, stage 1 where the method starts from it, the method's own training, and one pass over the validation set.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.resolve import methods_of
from bench.speed.table import NotMeasured, Row, Settings
from bench.store import RunFolder
from bench.tasks import TASKS


def measure(settings: Settings) -> Iterator[Row]:
    """The ratio, from the records of a run folder."""
    settings.need("results")
    folder = RunFolder(Path(settings.results))
    records = {record["key"]: record for record in folder.records() if record["status"] == "ok"}
    if not records:
        raise NotMeasured(f"'{settings.results}' holds no finished cells")
    ours = sum(record["seconds"]["all"] for record in records.values())
    naive = sum(points * alone(record, records) for record, points in sweeps(folder, records))
    yield Row(f"naive grid / our grid, {len(records)} cells of suite {folder.shared()['suite']}", naive / ours, "times")


def sweeps(folder: RunFolder, records: dict[str, dict]) -> Iterator[tuple[dict, int]]:
    """Every method's replay of every cell: the cell's record and the number of settings of the method's knob."""
    shared = folder.shared()["methods"]
    for name, method in methods_of(folder).items():
        for record in records.values():
            if name in shared and record["spec"]["method"] == (method.trained_by or name):
                yield record, len(method.knob(record["layers"], TASKS[record["spec"]["task"]].num_labels).values)


def alone(record: dict, records: dict[str, dict]) -> float:
    """Seconds of a cell on its own: with the training, but not the trace, of the model that it starts from."""
    start = records.get(record["spec"]["start"])
    return record["seconds"]["all"] + (start["seconds"]["train"] if start else 0.0)
