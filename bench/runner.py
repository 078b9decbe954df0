"""Running cells on local worker processes: dependencies first, failures recorded, finished work never repeated."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

from joblib.externals.loky import ProcessPoolExecutor

from bench.devices import claim_device, visible_devices
from bench.files import write_json
from bench.plan import Cell, Work
from bench.progress import Estimator, Progress
from bench.store import RunFolder, record_of

#: Each worker computes with one thread and finds what `--prepare` or an earlier command fetched.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}


@dataclass
class Todo:
    """What is left of a plan.

    Attributes:
        pending: cells to run, in order.
        finished: cells that are done or have a reason not to run.
        starts: keys of the cells whose models others start from -> keys of the unfinished cells that need them.
    """

    pending: list[Cell] = field(default_factory=list)
    finished: list[Cell] = field(default_factory=list)
    starts: dict[str, set[str]] = field(default_factory=dict)


def prepare_worker(devices: Sequence[str], jobs: int) -> None:
    """Set up a worker process once; on a GPU machine it gets one device and sees no other."""
    import signal

    from joblib.externals.loky import process_executor

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the main process ends its workers
    # loky would replace a worker that has grown by 300 MB, which every fine-tuned BERT does: seconds lost a cell
    process_executor._USE_PSUTIL = False
    claim_device(devices, jobs)


def run_in_worker(cell: Cell, work: Work, keep_model: bool) -> dict:
    """`bench.cell.run_cell`, whose heavy imports only the worker needs."""
    from bench.cell import run_cell

    return run_cell(cell, work, keep_model)


def find_todo(cells: Sequence[Cell], folder: RunFolder, force: bool = False, save_models: bool = False) -> Todo:
    """Which cells of a plan must run: unfinished ones, and starting models that are needed and no longer kept.

    With `save_models`, a cell whose model was not saved is unfinished.
    """

    def is_done(cell: Cell) -> bool:
        return not force and folder.is_finished(cell.key) and (not save_models or folder.has_model(cell))

    todo = Todo()
    unfinished = {cell.key for cell in cells if not cell.skip and not is_done(cell)}
    for cell in cells:
        if cell.key in unfinished and cell.start:
            todo.starts.setdefault(cell.start, set()).add(cell.key)
    for cell in cells:
        model_is_missing = cell.key in todo.starts and not folder.checkpoint_path(cell.key).is_file()
        (todo.pending if cell.key in unfinished or model_is_missing else todo.finished).append(cell)
    return todo


def run(todo: Todo, work: Work, jobs: int, fail_fast: bool = False) -> int:
    """Run what is left of a plan.

    Args:
        todo: from `find_todo`.
        work: where and on what.
        jobs: worker processes.
        fail_fast: stop at the first failure.

    Returns:
        How many cells of the plan have failed.
    """
    for cell in todo.finished:
        if cell.skip:
            write_json(work.folder.record_path(cell.key), record_of(cell, "skipped", cell.skip))
    if not todo.pending:
        return 0
    estimator = Estimator()
    for record in work.folder.records():
        if record["status"] == "ok":
            estimator.learn(record["spec"], record["seconds"]["all"])
    progress = Progress(todo.pending, len(todo.finished), jobs, estimator)
    scheduler = Scheduler(todo, work, jobs, progress, fail_fast)
    try:
        scheduler.run()
    finally:
        scheduler.close()
        progress.close()
    return progress.failed


class Scheduler:
    """Hands ready cells to worker processes, in the order of the plan.

    A worker that dies takes the pool with it. The cells that were running then are run again one at a time, so that
    the one that kills its worker is known and becomes a failure, and its neighbours do not.
    """

    def __init__(self, todo: Todo, work: Work, jobs: int, progress: Progress, fail_fast: bool) -> None:
        self.work, self.jobs, self.progress, self.fail_fast = work, jobs, progress, fail_fast
        self.starts = todo.starts
        self.ready: deque[Cell] = deque()
        self.blocked: dict[str, list[Cell]] = {}
        self.suspects: deque[Cell] = deque()
        self.tried_alone: set[str] = set()
        self.in_flight: dict[Future, Cell] = {}
        self.pool: ProcessPoolExecutor | None = None
        pending = {cell.key for cell in todo.pending}
        for cell in todo.pending:
            if cell.start in pending:
                self.blocked.setdefault(cell.start, []).append(cell)
            else:
                self.ready.append(cell)

    def run(self) -> None:
        """Work until nothing is left, or until the first failure where that was asked for."""
        while self.ready or self.suspects or self.in_flight:
            self.fill()
            done, _ = wait(self.in_flight, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in done:
                self.take(future)
            self.progress.refresh()
            if self.fail_fast and self.progress.failed:
                return

    def fill(self) -> None:
        """Give every idle worker a cell; after a death, one suspect at a time and nothing beside it."""
        if self.suspects:
            if not self.in_flight:
                self.tried_alone.add(self.suspects[0].key)
                self.submit(self.suspects.popleft())
            return
        while self.ready and len(self.in_flight) < self.jobs:
            self.submit(self.ready.popleft())

    def submit(self, cell: Cell) -> None:
        """Hand a cell to the pool."""
        if self.pool is None:
            devices = visible_devices() if self.work.device == "cuda" else []
            self.pool = ProcessPoolExecutor(
                max_workers=self.jobs,
                env=WORKER_ENVIRONMENT,
                timeout=None,
                initializer=prepare_worker,
                initargs=(devices, self.jobs),
            )
        self.progress.start(cell)
        future = self.pool.submit(run_in_worker, cell, self.work, cell.key in self.starts)
        self.in_flight[future] = cell

    def take(self, future: Future) -> None:
        """Deal with a cell that has ended, one way or another."""
        cell = self.in_flight.pop(future, None)
        if cell is None:
            return  # went back with its broken pool
        try:
            self.finish(cell, future.result())
        except BrokenProcessPool:
            self.bury(cell)

    def bury(self, cell: Cell) -> None:
        """A worker died while this cell was running, perhaps beside others: all of them are under suspicion."""
        suspects = [cell, *self.in_flight.values()]
        self.in_flight.clear()
        self.close()
        if cell.key in self.tried_alone:
            self.fail(cell, "its worker process died: killed, or out of memory")
            return
        for suspect in suspects:
            self.progress.back(suspect)
        self.suspects.extend(suspects)

    def finish(self, cell: Cell, record: dict) -> None:
        """Note a result, release the cells that waited for it, and drop the model that nobody needs any more."""
        self.progress.finish(cell, record)
        released = []
        for waiting in self.blocked.pop(cell.key, []):
            if record["status"] == "ok":
                released.append(waiting)
            else:
                self.fail(waiting, f"the model it starts from failed: {record['reason']}")
        self.ready.extendleft(reversed(released))
        needed_by = self.starts.get(cell.start)
        if needed_by is not None and record["status"] == "ok":
            needed_by.discard(cell.key)
            if not needed_by:
                self.work.folder.checkpoint_path(cell.start).unlink(missing_ok=True)

    def fail(self, cell: Cell, reason: str) -> None:
        """Record the failure of a cell that could not say so itself."""
        record = record_of(cell, "failed", reason)
        write_json(self.work.folder.record_path(cell.key), record)
        self.finish(cell, record)

    def close(self) -> None:
        """Stop the workers."""
        if self.pool is not None:
            self.pool.shutdown(wait=True, kill_workers=True)
            self.pool = None
