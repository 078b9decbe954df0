"""Which cell runs next: in the order of the plan, after the cell whose model it starts from, and in one run only."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from bench.plan.cell import Cell
from bench.run.backends import Backend
from bench.run.pause import Pauses
from bench.run.progress import Progress
from bench.run.seeds import Seeds
from bench.run.slot import CellDied, CellHung, CellRefused
from bench.run.work import Work
from bench.store.files import remove
from bench.store.folder import record_of
from bench.store.locks import Locks

if TYPE_CHECKING:
    from bench.run.todo import Todo

#: Seconds between two looks at what other runs hold, and at the clock.
LOOK_EVERY = 0.5


class Scheduler:
    """Hands cells to a backend as soon as they can start, until none is left.

    A cell whose worker was killed is tried once more, with no other beside it: they may have taken the memory.
    """

    def __init__(
        self,
        todo: Todo,
        work: Work,
        backend: Backend,
        locks: Locks,
        progress: Progress,
        fail_fast: bool,
        seeds: Seeds | None = None,
        pauses: Pauses | None = None,
    ) -> None:
        self.work, self.backend, self.locks = work, backend, locks
        self.progress, self.fail_fast, self.seeds, self.pauses = progress, fail_fast, seeds, pauses
        self.starts, self.models = todo.starts, todo.models
        self.place = {cell.key: place for place, cell in enumerate(todo.pending)}
        self.ready: list[tuple[int, str, Cell]] = []  # a heap, the first of the plan on top
        self.blocked: dict[str, list[Cell]] = {}
        self.elsewhere: list[Cell] = []
        self.looked = 0.0
        self.suspects: deque[Cell] = deque()
        self.tried_twice: set[str] = set()
        self.in_flight: dict[Future, Cell] = {}
        self.unsettled = {cell.key for cell in todo.pending}
        for cell in todo.pending:
            if cell.start in self.unsettled:
                self.blocked.setdefault(cell.start, []).append(cell)
            else:
                self.queue(cell)

    def run(self) -> None:
        """Work until nothing is left, or until the first failure where that was asked for."""
        while self.ready or self.elsewhere or self.suspects or self.in_flight:
            if self.pauses:
                self.pauses.look()
            self.fill()
            if self.in_flight:
                done, _ = wait(self.in_flight, timeout=LOOK_EVERY, return_when=FIRST_COMPLETED)
                for future in done:
                    self.conclude(future)
            elif self.elsewhere or self.ready:  # other runs have the rest, or there are no workers now
                time.sleep(LOOK_EVERY)
            self.progress.refresh(len(self.elsewhere))
            if self.seeds:
                self.seeds.look()
            if self.fail_fast and self.progress.failed:
                return

    def queue(self, cell: Cell) -> None:
        """Let a cell start when those before it in the plan have; a model to be trained again goes before all."""
        heappush(self.ready, (self.place.get(cell.key, -1), cell.key, cell))

    def fill(self) -> None:
        """Give the backend as many cells as it can run at a time."""
        if time.monotonic() - self.looked > LOOK_EVERY:
            self.looked = time.monotonic()
            self.progress.jobs = self.backend.capacity()
            for cell in self.elsewhere:
                self.queue(cell)
            self.elsewhere.clear()
        while self.ready and len(self.in_flight) < self.progress.jobs:
            self.begin(heappop(self.ready)[-1])
        if self.suspects and not (self.ready or self.in_flight or self.elsewhere):
            suspect = self.suspects.popleft()
            self.tried_twice.add(suspect.key)
            self.begin(suspect)

    def begin(self, cell: Cell) -> None:
        """Lock a cell and submit it, unless another run has it or has done it, or its starting model is missing."""
        if not self.locks.take(cell.key):
            self.elsewhere.append(cell)
            return
        needed = any(not self.work.folder.is_finished(key) for key in self.starts.get(cell.key, ()))
        if record := self.work.folder.settled(cell.key, needed):
            self.finish(cell, record)
        elif cell.start and not self.work.folder.has_model(cell.start):
            self.locks.drop(cell.key)
            self.train_again(cell)
        else:
            self.progress.start(cell)
            self.in_flight[self.backend.submit(cell, self.work, needed)] = cell

    def train_again(self, cell: Cell) -> None:
        """Queue the cell whose model a cell needs, before it: another run, which did not need it, has deleted it."""
        self.blocked.setdefault(cell.start, []).append(cell)
        if cell.start not in self.unsettled:
            self.unsettled.add(cell.start)
            self.progress.reopen(self.models[cell.start])
            self.queue(self.models[cell.start])

    def conclude(self, future: Future) -> None:
        """Deal with a cell that has ended: take its record, try it again, or record its failure."""
        cell = self.in_flight.pop(future)
        try:
            record = self.backend.result(future)
        except CellHung as error:
            self.fail(cell, str(error))
        except CellRefused:
            self.put_back(cell)
            self.queue(cell)
        except CellDied as error:
            if cell.key in self.tried_twice:
                self.fail(cell, str(error))
            else:
                self.put_back(cell)
                self.suspects.append(cell)
        else:
            if self.lost_its_start(cell, record):
                self.tried_twice.add(cell.key)
                self.work.folder.remove_record(cell.key)
                self.put_back(cell)
                self.train_again(cell)
            else:
                self.finish(cell, record)

    def put_back(self, cell: Cell) -> None:
        """Unlock a cell that has to be run again."""
        self.progress.requeue(cell)
        self.locks.drop(cell.key)

    def lost_its_start(self, cell: Cell, record: dict) -> bool:
        """Whether a cell failed because another run, which did not need its starting model, deleted that just then."""
        failed = record["status"] == "failed" and cell.key not in self.tried_twice
        return failed and cell.start is not None and not self.work.folder.has_model(cell.start)

    def finish(self, cell: Cell, record: dict) -> None:
        """Count a cell as done, queue the cells that waited for it, and delete the model that none needs any more."""
        self.locks.drop(cell.key)
        self.unsettled.discard(cell.key)
        self.progress.finish(cell, record)
        if self.seeds:
            self.seeds.finish(cell)
        for waiting in self.blocked.pop(cell.key, []):
            if record["status"] == "ok":
                self.queue(waiting)
            else:
                self.locks.take(waiting.key)
                self.fail(waiting, f"the model it starts from failed: {record['reason']}")
        needed_by = self.starts.get(cell.start)
        if needed_by is not None and record["status"] == "ok":
            needed_by.discard(cell.key)
            if not needed_by:
                remove(self.work.folder.checkpoint_path(cell.start))

    def fail(self, cell: Cell, reason: str) -> None:
        """Write the record of a cell that failed before it could write one."""
        record = record_of(cell, "failed", reason)
        self.work.folder.write_record(record)
        self.finish(cell, record)
