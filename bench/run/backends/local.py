"""The backend that runs cells in worker processes of this machine."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from bench.plan.cell import Cell
from bench.run.devices import visible_devices
from bench.run.slot import RUN_CELL, Slot
from bench.run.work import Work


class LocalBackend:
    """As many slots as jobs, each with a thread that waits for it.

    Args:
        jobs: cells at a time.
        device: "cpu" or "cuda"; each slot sees one GPU, see `bench.run.devices`.
        timeout: seconds that a cell may take, or None.
        function: what runs a cell, see `bench.run.slot.Slot`.
    """

    def __init__(self, jobs: int, device: str, timeout: float | None = None, function: str = RUN_CELL) -> None:
        self.jobs, self.device, self.timeout = jobs, device, timeout
        self.description = f"{jobs} at a time on {device}"
        devices = visible_devices() if device == "cuda" else []
        self.slots = [Slot(function, devices, jobs) for _ in range(jobs)]
        self.idle = deque(self.slots)
        self.threads = ThreadPoolExecutor(jobs)

    def capacity(self) -> int:
        """See `Backend`."""
        return self.jobs

    def submit(self, cell: Cell, work: Work, keep_model: bool) -> Future:
        """See `Backend`."""
        return self.threads.submit(self._run, cell, work, keep_model)

    def _run(self, cell: Cell, work: Work, keep_model: bool) -> dict:
        slot = self.idle.pop()
        try:
            return slot.run(cell, work, keep_model, self.timeout)
        finally:
            self.idle.append(slot)

    def result(self, future: Future) -> dict:
        """See `Backend`."""
        return future.result()

    def pause(self) -> None:
        """See `Backend`."""
        for slot in self.slots:
            slot.pause()

    def go_on(self) -> None:
        """See `Backend`."""
        for slot in self.slots:
            slot.go_on()

    def close(self) -> None:
        """See `Backend`."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        for slot in self.slots:
            slot.stop()
        self.threads.shutdown()
