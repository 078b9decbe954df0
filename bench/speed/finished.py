"""Results folders as finished runs of the embedded suite leave them, with invented records and small random traces."""

from __future__ import annotations

import numpy as np

from bench.models.costs import estimated_macs
from bench.models.loading import load_config
from bench.plan.cell import Cell
from bench.plan.grid import Grid
from bench.plan.options import resolve_backbones, resolve_tasks
from bench.plan.suite_file import load_suite
from bench.sources.generated import Embedded
from bench.sources.tasks import TASKS
from bench.store.folder import RunFolder, record_of
from bench.store.trace import Trace
from methods import DEFAULT, discover

#: Examples of a trace.
ROWS = 64


def embedded_grid(seeds: int) -> Grid:
    """The plan of the default command with so many seeds."""
    suite, known = load_suite("embedded"), discover()
    methods = {name: known[name] for name in DEFAULT}
    return Grid(suite, resolve_tasks("all"), resolve_backbones(None, suite), methods, range(seeds), Embedded())


def finish(grid: Grid, folder: RunFolder, rows: int = ROWS) -> int:
    """Write run.json and a record and traces for every cell of a plan; the number of cells."""
    folder.create()
    shared = grid.shared()
    folder.share({**shared, "commands": {}}, dict.fromkeys(grid.methods))
    cells = grid.cells(shared)
    for number, cell in enumerate(cells):
        folder.write_record(record_of(cell, "ok") | invented(cell, folder, np.random.default_rng(number), rows))
    return len(cells)


def invented(cell: Cell, folder: RunFolder, rng: np.random.Generator, rows: int) -> dict:
    """What a worker would have written into the record of a cell, with its traces in their places."""
    task = TASKS[cell.spec["task"]]
    panel, config = load_config(cell.family_checkpoint), load_config(cell.checkpoint)
    layers = config.num_hidden_layers
    halts = cell.spec["method"] == "dact"
    return {
        "traces": {
            split: random_trace(rng, rows, layers, task.num_labels, halts).save(folder.trace_path(cell.key, split))
            for split in task.validation_splits
        },
        "model": None,
        "layers": layers,
        "panel_layers": panel.num_hidden_layers,
        "macs": {
            **estimated_macs(config),
            "exits": [[0, 0, 0]] * layers,
            "panel": {**estimated_macs(panel), "layers": panel.num_hidden_layers, "head": [0, 0, 0]},
        },
        "constant_label": 0,
        "accumulation": 1,
        "examples_seen": rows,
        "seconds": {"load": 0.0, "train": 1.0, "trace": 0.0, "all": 1.0},
        "environment": "",
    }


def random_trace(rng: np.random.Generator, rows: int, layers: int, num_labels: int, halts: bool) -> Trace:
    """For invented results folders: exits that know more the deeper they are, on the same labels for any generator."""
    numbers = np.arange(rows)
    labels = numbers % num_labels
    logits = rng.normal(size=(rows, layers, num_labels))
    logits[numbers, :, labels] += 4 * np.linspace(0.1, 1, layers)
    halting = rng.uniform(0, 0.5, size=(rows, layers)).astype(np.float32) if halts else None
    return Trace(logits.astype(np.float32), labels, numbers, 10 + numbers % 20, halting, numbers % 4)
