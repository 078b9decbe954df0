"""A worker process that runs one cell at a time: kept warm between cells, ended and replaced when one hangs."""

from __future__ import annotations

import gc
import pkgutil
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection

from joblib.externals.loky import ProcessPoolExecutor

from bench.plan.cell import Cell
from bench.processes import Lifeline, tie_to
from bench.run.devices import claim_device
from bench.run.gate import Gate, obey
from bench.run.work import Work

#: Each worker computes with one thread and finds what `--prepare` or an earlier command fetched.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
#: What runs a cell, by name: only worker processes import it, for it is heavy.
RUN_CELL = "bench.run.worker:run_cell"
#: Seconds of a wait at a time: what a time limit counts at most, however long this process itself was stopped in it.
TICK = 1.0


class CellDied(Exception):
    """The worker process of a cell was killed."""


class CellHung(Exception):
    """A cell ran longer than it was allowed to."""


class CellRefused(Exception):
    """A worker lacks the model that a cell starts from; the backend sends it along the next time."""


class Slot:
    """Runs cells in one worker process, one at a time.

    Args:
        function: what runs a cell, "MODULE:NAME" of a function like `bench.run.worker.run_cell`.
        devices: GPUs of which its worker claims one; none on a CPU, or where somebody else has chosen.
        jobs: how many slots share them.
    """

    def __init__(self, function: str = RUN_CELL, devices: Sequence[str] = (), jobs: int = 1) -> None:
        self.function, self.devices, self.jobs = function, devices, jobs
        self.pool: ProcessPoolExecutor | None = None
        self.stopped, self.lock = False, threading.Lock()
        self.lifeline, self.gate = Lifeline(), Gate()

    def run(self, cell: Cell, work: Work, keep_model: bool, timeout: float | None) -> dict:
        """Run a cell; see `bench.run.worker.run_cell`.

        Args:
            cell: what to run.
            work: where.
            keep_model: whether other cells start from the trained model.
            timeout: seconds that it may take, the start of the worker process and pauses not counted.

        Raises:
            CellDied: its process was killed, or ran out of memory.
            CellHung: it took too long; its process was ended.
            FolderError: a file cannot be written.
        """
        try:
            future = self.warm().submit(call, self.function, cell, work, keep_model)
            record = result_within(future, timeout)
        except TimeoutError as error:
            self.close()
            raise CellHung(f"ran longer than --cell-timeout {timeout:g} s") from error
        except BrokenProcessPool as error:
            self.close()
            raise CellDied("its worker process died: killed, or out of memory") from error
        if record["status"] == "failed" and work.device == "cuda":
            self.close()  # a failed kernel or a lost byte of GPU memory would fail the next cell, too
        return record

    def warm(self) -> ProcessPoolExecutor:
        """The worker process, started if there is none; everything that a cell needs is imported."""
        with self.lock:
            if self.stopped:
                raise CellDied("the run was stopped")
            if self.pool is not None:
                return self.pool
            pool = self.pool = ProcessPoolExecutor(
                max_workers=1,
                env=WORKER_ENVIRONMENT,
                timeout=None,
                initializer=prepare_worker,
                initargs=(self.lifeline.end, self.gate.end, self.devices, self.jobs),
            )
        pool.submit(load, self.function).result()
        return pool

    def pause(self) -> None:
        """Let the worker process wait, wherever it is in its cell."""
        self.gate.close()

    def go_on(self) -> None:
        """Let the worker process go on after `pause`."""
        self.gate.open()

    def close(self) -> None:
        """End the worker process, whatever it does; the next cell gets a new one."""
        with self.lock:
            pool, self.pool, self.gate = self.pool, None, Gate()
        if pool is not None:
            pool.shutdown(wait=True, kill_workers=True)

    def stop(self) -> None:
        """End the worker process for good."""
        self.stopped = True
        self.close()


def result_within(future: Future, timeout: float | None) -> dict:
    """The result of a cell's future, waited for in short parts: the time in which this process is stopped is no wait.

    Raises:
        TimeoutError: it took longer than `timeout` seconds.
    """
    while timeout is not None and timeout > 0 and not future.done():
        began = time.monotonic()
        wait([future], min(timeout, TICK))
        timeout -= min(time.monotonic() - began, TICK)
    return future.result(None if timeout is None else 0)


def call(function: str, cell: Cell, work: Work, keep_model: bool) -> dict:
    """What a worker process does when it is given a cell: run it, by the name of the function that does."""
    return pkgutil.resolve_name(function)(cell, work, keep_model)


def load(function: str) -> None:
    """What a worker process does first: import what every cell needs, before the clock of the first one starts."""
    pkgutil.resolve_name(function)
    # loky collects garbage after every cell: a tenth of a second, unless it passes over all that was imported
    gc.freeze()


def prepare_worker(lifeline: Connection, gate: Connection, devices: Sequence[str], jobs: int) -> None:
    """Set up a worker process once; on a GPU machine it gets one device and sees no other."""
    import signal

    from joblib.externals.loky import process_executor

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the main process ends its workers
    # loky would replace a worker that has grown by 300 MB, which every fine-tuned BERT does: seconds lost a cell
    process_executor._USE_PSUTIL = False
    tie_to(lifeline)
    obey(gate)
    claim_device(devices, jobs)
