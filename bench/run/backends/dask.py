"""The backend that runs cells on the workers of a Dask cluster, each in a warm process beside its worker.

The client API rather than joblib's backend: that one fixes the number of workers when it starts, runs everything in
this process where the cluster has a single thread, and ends with the first exception. Here a cell is one task, no more
are handed out than the workers can run, and workers that join later are counted within a second. Dask runs the task of
a killed worker again by itself; that is harmless, since a cell writes whole files, the same whoever writes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from bench.errors import UserError, one_line
from bench.plan.cell import Cell
from bench.run.backends.dask_worker import run_on_worker
from bench.run.slot import RUN_CELL, CellDied, CellHung, CellRefused
from bench.run.work import Work
from bench.store.code_hash import code_hash
from bench.store.files import remove, touch
from bench.store.folder import RunFolder

if TYPE_CHECKING:
    import distributed

#: Seconds to wait for a scheduler, at first and when it is lost, and for its first worker.
CONNECT, PATIENCE = 30, 60
#: Seconds between two messages to the scheduler, at least.
MESSAGE_EVERY = 0.001
HOW = "dask worker {address} --nthreads 1"


class DaskBackend:
    """Cells on a Dask cluster.

    Args:
        address: of the scheduler.
        device: "cuda": one cell per unit of the workers' resource GPU; "cpu": one cell per worker thread; "auto": the
            first where any worker has that resource.
        jobs: at most this many cells at a time; None: as many as the workers can run.
        timeout: seconds that a cell may take, or None.
        function: what runs a cell, see `bench.run.slot.Slot`.

    Raises:
        UserError: Dask is not installed, nobody answers, or no worker of the right kind joins within a minute.
    """

    def __init__(
        self, address: str, device: str, jobs: int | None, timeout: float | None = None, function: str = RUN_CELL
    ) -> None:
        try:
            from distributed import Client
            from distributed.client import ClosedClientError
        except ImportError as error:
            raise UserError("--backend dask: install the extra, pip install 'early-exit-bench[dask]'") from error
        self.address, self.jobs, self.timeout, self.function = address, jobs, timeout, function
        self.closed = ClosedClientError
        how = HOW.format(address=address)
        try:
            self.client = Client(address, timeout=CONNECT, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:  # TimeoutError is an OSError
            raise UserError(f"no Dask scheduler at {address} ({one_line(error)}): dask scheduler starts one") from error
        try:
            self.client.wait_for_workers(1, timeout=PATIENCE)
            gpus = sum(self.cells_by_worker("cuda"))
            if device == "cuda" and not gpus:
                how = f"CUDA_VISIBLE_DEVICES=0 {how} --resources GPU=1"
                raise UserError(f"--device cuda: no worker at {address} has the resource GPU: {how}")
        except OSError as error:
            self.client.close()
            raise UserError(f"no worker has joined {address} within {PATIENCE} s: {how}") from error
        except UserError:
            self.client.close()
            raise
        # Dask waits 10 ms between two messages, and a cell takes two: to submit it, and to release the one before
        self.client.scheduler_comm.interval = MESSAGE_EVERY
        self.device = "cuda" if gpus and device != "cpu" else "cpu"
        self.resources = {"GPU": 1} if self.device == "cuda" else None
        self.description = f"{self.capacity()} at a time on {self.device} at {address}"
        self.running: dict[Future, tuple[Cell, RunFolder, bool]] = {}
        self.ended: list[distributed.Future] = []
        self.proof: Path | None = None
        self.send_models = False

    def cells_by_worker(self, device: str) -> list[float]:
        """How many cells each worker can run at a time."""
        workers = self.client.scheduler_info(n_workers=-1).get("workers", {}).values()
        return [w["resources"].get("GPU", 0) if device == "cuda" else w["nthreads"] for w in workers]

    def capacity(self) -> int:
        """See `Backend`."""
        with self.scheduler(OSError):
            if self.client.status == "closed":
                raise self.closed
            capacity = int(sum(self.cells_by_worker(self.device)))
        return capacity if self.jobs is None else min(capacity, self.jobs)

    def submit(self, cell: Cell, work: Work, keep_model: bool) -> Future:
        """See `Backend`."""
        work = replace(work, folder=RunFolder(work.folder.path.resolve()))
        if self.proof is None:
            self.proof = work.folder.path / "locks" / f".seen-{uuid4().hex}.tmp"
        touch(self.proof)  # again for every cell: what a killed run leaves is swept after an hour
        model = work.folder.checkpoint_path(cell.start).read_bytes() if cell.start and self.send_models else None
        with self.scheduler(OSError):
            if model is not None:
                model = self.client.scatter(model)
            arguments = (self.function, cell, work, keep_model, self.timeout, self.proof, model, code_hash())
            task = self.client.submit(run_on_worker, *arguments, pure=False, resources=self.resources)
        self.ended.clear()  # only now: Dask would tell the scheduler first, and let the new cell wait for that message
        future = Future()
        task.add_done_callback(future.set_result)
        self.running[future] = (cell, work.folder, keep_model)
        return future

    def result(self, future: Future) -> dict:
        """See `Backend`. What the folder has already need not come through the cluster."""
        from distributed import KilledWorker

        cell, folder, keep_model = self.running.pop(future)
        task = future.result()
        self.ended.append(task)
        if task.status == "finished" and (record := folder.settled(cell.key, keep_model)):
            return record
        try:
            with self.scheduler(CancelledError):  # an OSError would be the worker's own
                record, parcel = task.result()
        except CellRefused:
            self.send_models = True
            raise
        except (CellDied, CellHung, UserError):
            raise
        except KilledWorker as error:
            raise CellDied("the Dask workers that ran it died, one after the other") from error
        except Exception as error:
            raise UserError(f"a Dask worker at {self.address} cannot run cells: {one_line(error)}") from error
        if parcel is not None:
            self.send_models = True
            parcel.unpack(cell, folder, record)
        return record

    @contextmanager
    def scheduler(self, *signs: type[BaseException]) -> Iterator[None]:
        """Turn errors which show that the scheduler is gone into one line for the user."""
        try:
            yield
        except (self.closed, *signs) as error:
            raise UserError(
                f"the Dask scheduler at {self.address} is gone; what is finished is kept, and the same command goes on"
            ) from error

    def pause(self) -> None:
        """Nothing: cells of the cluster run on, none is handed out meanwhile."""

    def go_on(self) -> None:
        """Nothing; see `pause`."""

    def close(self) -> None:
        """See `Backend`. A cell that runs now ends by itself, and where the folder is shared, it is kept."""
        self.client.close(timeout=5)
        if self.proof is not None:
            remove(self.proof)
