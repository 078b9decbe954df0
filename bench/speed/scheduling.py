"""What scheduling a cell and isolating it in a process cost, and how two workers compare with one.

Run: python -m bench.speed.scheduling [--address tcp://HOST:PORT]

The scheduling of cells that do nothing; two workers against one on cells that only compute; and real cells in worker
processes against the same cells in this process. Everything takes turns here, so that other work on the machine hits
all alike. Wall-clock time is what a user waits for; on a busy machine, the processor time of this process says more.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from statistics import median
from uuid import uuid4

from bench.plan.cell import Cell
from bench.run.backends import Backend
from bench.run.backends.local import LocalBackend
from bench.run.runner import run
from bench.run.slot import WORKER_ENVIRONMENT
from bench.run.todo import find_todo
from bench.run.work import Work
from bench.sources.generated import Embedded
from bench.store.folder import RunFolder, record_of

FUNCTION = "bench.speed.scheduling:run_cell"
ROUNDS, CELLS, BUSY_CELLS = 3, 200, 8
#: Iterations of sha256 over 1 MB in a cell that computes: about a second on one core.
BUSY = 1000
#: Rows of the real cells, which makes them shorter than any of the embedded suite: there isolation costs less.
ROWS = 100


def run_cell(cell: Cell, work: Work, keep_model: bool) -> dict:
    """A cell that computes for a while, or not at all, and leaves a record as every cell does."""
    block = bytes(1 << 20)
    for _ in range(cell.spec["busy"]):
        hashlib.sha256(block)
    record = record_of(cell, "ok") | {"seconds": {"all": 0.0}, "traces": {}, "environment": ""}
    work.folder.write_record(record)
    return record


class InProcess:
    """A backend without isolation: every cell runs in this process."""

    device, place = "cpu", "in this process"

    def capacity(self) -> int:
        """See `Backend`."""
        return 1

    def submit(self, cell: Cell, work: Work, keep_model: bool) -> Future:
        """See `Backend`."""
        from bench.run.worker import run_cell

        future = Future()
        future.set_result(run_cell(cell, work, keep_model))
        return future

    def result(self, future: Future) -> dict:
        """See `Backend`."""
        return future.result()

    def pause(self) -> None:
        """Nothing runs between two cells."""

    def go_on(self) -> None:
        """See `pause`."""

    def close(self) -> None:
        """Nothing runs now."""


class KeptOpen:
    """A backend that stays open when a run ends."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def __getattr__(self, name: str) -> object:
        return getattr(self.backend, name)

    def close(self) -> None:
        """Leave it open."""


def seconds(backend: Backend, work: Work, cells: Sequence[Cell]) -> tuple[float, float]:
    """Seconds that a plan takes in an empty folder.

    Returns:
        By the clock, and of this process's processor time.
    """
    for part in ("cells", "traces"):
        for path in (work.folder.path / part).iterdir():
            path.unlink()
    started, computed = time.perf_counter(), time.process_time()
    if run(find_todo(cells, work.folder), work, KeptOpen(backend)):
        raise RuntimeError(f"cells failed: {[record['reason'] for record in work.folder.records()]}")
    return time.perf_counter() - started, time.process_time() - computed


def equal_cells(count: int, busy: int) -> list[Cell]:
    """Cells that all do the same, new ones every time."""
    spec = {"task": "rte", "backbone": "bert", "method": uuid4().hex, "variant": "", "busy": busy}
    return [Cell({**spec, "seed": seed}, None, None) for seed in range(count)]


def real_cells() -> list[Cell]:
    """The default methods on one small task of the embedded suite."""
    from bench.plan.grid import Grid
    from bench.plan.methods import resolve_methods
    from bench.plan.suite_file import load_suite
    from bench.sources.tasks import TASKS

    methods = resolve_methods(None)[0]
    grid = Grid(load_suite("embedded"), [TASKS["rte"]], ["bert"], methods, [0], Embedded(), limit=ROWS)
    return grid.cells(grid.shared())


def measure_overhead(backends: dict[str, Backend], work: Work) -> None:
    """Print the milliseconds that a cell which does nothing costs in scheduling and a process."""
    for name, backend in backends.items():
        seconds(backend, work, equal_cells(backend.capacity(), 0))  # starts the worker processes
        runs = [seconds(backend, work, equal_cells(CELLS, 0)) for _ in range(ROUNDS)]
        wall, own = ([1000 * value / CELLS for value in values] for values in zip(*runs, strict=True))
        costs = f"{median(wall):.1f} ms per cell, at best {min(wall):.1f}; {median(own):.1f} ms of this process"
        print(f"{name}: {costs}", flush=True)


def measure_ratio(what: str, first: Backend, second: Backend, work: Work, cells: Sequence[Cell]) -> None:
    """Print how long a plan takes on one backend (processes, Dask) relative to another, in turns."""
    for backend in (first, second):
        seconds(backend, work, cells[: backend.capacity()])
    pairs = [[seconds(backend, work, cells)[0] for backend in (first, second)] for _ in range(ROUNDS)]
    ratios = [one / other for one, other in pairs]
    print(f"{what}: {median(ratios):.3f} times ({min(ratios):.3f} to {max(ratios):.3f})", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", help="of a Dask scheduler, to measure it too")
    address = parser.parse_args().address
    os.environ.update(WORKER_ENVIRONMENT)  # before torch is imported: this process stands for a worker, too
    one, two = (LocalBackend(jobs, "cpu", function=FUNCTION) for jobs in (1, 2))
    backends: dict[str, Backend] = {"one worker": one, "two workers": two}
    if address:
        from bench.run.backends.dask import DaskBackend

        backends["Dask"] = DaskBackend(address, "cpu", None, function=FUNCTION)
    isolated = LocalBackend(1, "cpu")
    with tempfile.TemporaryDirectory() as place:
        work = Work(RunFolder(Path(place)), Embedded(), "cpu")
        work.folder.create()
        measure_overhead(backends, work)
        measure_ratio("one worker against two", one, two, work, equal_cells(BUSY_CELLS, BUSY))
        started = time.perf_counter()
        isolated.slots[0].warm()
        print(f"a worker process starts in {time.perf_counter() - started:.1f} s, once in a run")
        measure_ratio("cells in a worker process against this process", isolated, InProcess(), work, real_cells())
        for backend in (*backends.values(), isolated):
            backend.close()


if __name__ == "__main__":
    main()
