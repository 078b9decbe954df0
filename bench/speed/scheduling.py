"""What scheduling costs per cell, with cells that do nothing, and how two workers compare with one.

Run: python -m bench.speed.scheduling [--address tcp://HOST:PORT]

Everything takes turns in one process, so that other work on the machine hits all alike. Wall-clock time is what a user
waits for; on a busy machine, the processor time of this process, which schedules, says more.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from pathlib import Path
from statistics import median
from uuid import uuid4

from bench.backends import Backend
from bench.backends.local import LocalBackend
from bench.runner import find_todo, run
from bench.store import RunFolder, record_of
from bench.work import Cell, Work

FUNCTION = "bench.speed.scheduling:run_cell"
ROUNDS, CELLS, BUSY_CELLS = 3, 200, 8
#: Iterations of sha256 over 1 MB in a cell that computes: about a second on one core.
BUSY = 1000


def run_cell(cell: Cell, work: Work, keep_model: bool) -> dict:
    """A cell that computes for a while, or not at all, and leaves a record as every cell does."""
    block = bytes(1 << 20)
    for _ in range(cell.spec["busy"]):
        hashlib.sha256(block)
    record = record_of(cell, "ok") | {"seconds": {"all": 0.0}, "traces": {}, "environment": ""}
    work.folder.write_record(record)
    return record


def seconds(backend: Backend, folder: RunFolder, cells: int, busy: int) -> tuple[float, float]:
    """Seconds that a number of equal cells take, the start of the worker processes not counted.

    Returns:
        By the clock, and of this process's processor time.
    """
    run_some(backend, folder, backend.capacity(), 0)
    started, computed = time.perf_counter(), time.process_time()
    run_some(backend, folder, cells, busy)
    return time.perf_counter() - started, time.process_time() - computed


def run_some(backend: Backend, folder: RunFolder, cells: int, busy: int) -> None:
    """Run equal cells, new ones every time."""
    spec = {"task": "rte", "backbone": "bert", "method": uuid4().hex, "variant": "", "busy": busy}
    todo = find_todo([Cell({**spec, "seed": seed}, None, None) for seed in range(cells)], folder)
    if run(todo, Work(folder, None, "cpu"), KeptOpen(backend)):
        raise RuntimeError(f"cells failed: {[record['reason'] for record in folder.records()]}")


class KeptOpen:
    """A backend that stays open when a run ends."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def __getattr__(self, name: str) -> object:
        return getattr(self.backend, name)

    def close(self) -> None:
        """Leave it open."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", help="of a Dask scheduler, to measure it too")
    address = parser.parse_args().address
    one, two = (LocalBackend(jobs, "cpu", function=FUNCTION) for jobs in (1, 2))
    backends: dict[str, Backend] = {"one worker": one, "two workers": two}
    if address:
        from bench.backends.dask import DaskBackend

        backends["Dask"] = DaskBackend(address, "cpu", None, function=FUNCTION)
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(place))
        folder.create()
        for name, backend in backends.items():
            costs = [tuple(1000 * value / CELLS for value in seconds(backend, folder, CELLS, 0)) for _ in range(ROUNDS)]
            wall, own = (median(values) for values in zip(*costs, strict=True))
            best = min(costs)[0]
            print(f"{name}: {wall:.1f} ms per cell, at best {best:.1f}; {own:.1f} ms of this process", flush=True)
        pairs = [[seconds(backend, folder, BUSY_CELLS, BUSY)[0] for backend in (one, two)] for _ in range(ROUNDS)]
        ratios = [alone / together for alone, together in pairs]
        print(f"two workers against one: {median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})")
        for backend in backends.values():
            backend.close()


if __name__ == "__main__":
    main()
