"""How long `--plan` takes before it prints, for plans of three sizes on an empty results folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.plan.grid import Grid
from bench.run.devices import Machine
from bench.run.forecast import forecast
from bench.run.todo import find_todo
from bench.speed.finished import embedded_grid
from bench.speed.table import Row, Settings
from bench.store.folder import RunFolder
from bench.timing import in_turn

#: Seeds that make plans of about a thousand, ten thousand and a hundred thousand cells.
SEEDS = (9, 93, 926)
#: Seconds, of the largest.
LARGEST = "<= 5"


def measure(settings: Settings) -> Iterator[Row]:
    """Seconds for each size, and how much longer a cell takes in the largest plan than in the one before."""
    with tempfile.TemporaryDirectory() as place:
        folder, grids = RunFolder(Path(place)), [embedded_grid(seeds) for seeds in SEEDS]
        sizes = [plan(grid, folder) for grid in grids]
        plans = (lambda grid=grid: plan(grid, folder) for grid in grids)
        times = [sorted(column)[1] for column in zip(*in_turn(*plans), strict=True)]
    for size, seconds in zip(sizes, times, strict=True):
        yield Row(f"planning {size} cells", seconds, "s", LARGEST if size == max(sizes) else "")
    growth = (times[-1] / sizes[-1]) / (times[-2] / sizes[-2])
    yield Row("planning: time of a cell among the most, against ten times fewer", growth, "times", "<= 1.5")


def plan(grid: Grid, folder: RunFolder) -> int:
    """What `--plan` does, to be timed: fingerprints, cells, what is left and what it will cost; the number of cells."""
    cells = grid.cells(grid.shared())
    forecast(grid, find_todo(cells, folder), folder, Machine("cpu", jobs=2, processors=2), save_models=False)
    return len(cells)
