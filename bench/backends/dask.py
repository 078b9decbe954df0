"""Cells on the workers of a Dask cluster, each in a warm process beside its worker.

The client API rather than joblib's backend: that one fixes the number of workers when it starts, runs everything in
this process where the cluster has a single thread, and ends with the first exception. Here a cell is one task, no more
are handed out than there are places, and workers that join later are counted within a second. Dask runs the task of
a killed worker again by itself; that is harmless, since a cell writes whole files, the same whoever writes them.
"""

from __future__ import annotations

import multiprocessing.process
import platform
import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from bench.errors import UserError, one_line
from bench.files import remove, write_bytes
from bench.slot import RUN_CELL, CellDied, CellHung, Slot
from bench.stamp import code_hash
from bench.store import RunFolder
from bench.tasks import TASKS
from bench.work import Cell, Work

#: Seconds to wait for a scheduler, at first and when it is lost, and for its first worker.
CONNECT, PATIENCE = 30, 60
HOW = "dask worker {address} --nthreads 1"


class DaskBackend:
    """Cells on a Dask cluster.

    Args:
        address: of the scheduler.
        device: "cuda": one cell per unit of the workers' resource GPU; "cpu": one cell per worker thread; "auto": the
            first where any worker has that resource.
        jobs: at most this many cells at a time; None: as many as there are places.
        timeout: seconds that a cell may take, or None.
        function: what runs a cell, see `bench.slot.Slot`.

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
            gpus = sum(self.places("cuda"))
            if device == "cuda" and not gpus:
                how = f"CUDA_VISIBLE_DEVICES=0 {how} --resources GPU=1"
                raise UserError(f"--device cuda: no worker at {address} has the resource GPU: {how}")
        except OSError as error:
            self.client.close()
            raise UserError(f"no worker has joined {address} within {PATIENCE} s: {how}") from error
        except UserError:
            self.client.close()
            raise
        self.device = "cuda" if gpus and device != "cpu" else "cpu"
        resources = {"GPU": 1} if self.device == "cuda" else None
        self.executor = self.client.get_executor(pure=False, resources=resources)
        self.place = f"{self.capacity()} places on {self.device} at {address}"
        self.running: dict[Future, tuple[Cell, RunFolder]] = {}
        self.proof: Path | None = None

    def places(self, device: str) -> list[float]:
        """How many cells each worker takes."""
        workers = self.client.scheduler_info(n_workers=-1).get("workers", {}).values()
        return [w["resources"].get("GPU", 0) if device == "cuda" else w["nthreads"] for w in workers]

    def capacity(self) -> int:
        """See `Backend`."""
        with self.scheduler():
            if self.client.status == "closed":
                raise self.closed
            places = int(sum(self.places(self.device)))
        return places if self.jobs is None else min(places, self.jobs)

    def submit(self, cell: Cell, work: Work, keep_model: bool) -> Future:
        """See `Backend`."""
        work = replace(work, folder=RunFolder(work.folder.path.resolve()))
        if self.proof is None:
            self.proof = work.folder.path / "locks" / f"seen-{uuid4().hex}"
            write_bytes(self.proof, b"")
        with self.scheduler():
            model = None
            if cell.start and not all(self.client.run(Path.is_file, self.proof).values()):
                model = self.client.scatter(work.folder.checkpoint_path(cell.start).read_bytes())
            arguments = (self.function, cell, work, keep_model, self.timeout, self.proof, model, code_hash())
            future = self.executor.submit(run_on_worker, *arguments)
        self.running[future] = (cell, work.folder)
        return future

    def result(self, future: Future) -> dict:
        """See `Backend`."""
        from distributed import KilledWorker

        cell, folder = self.running.pop(future)
        try:
            with self.scheduler():
                record, parcel = future.result()
        except (CellDied, CellHung, UserError):
            raise
        except KilledWorker as error:
            raise CellDied("the Dask workers that ran it died, one after the other") from error
        except Exception as error:
            raise UserError(f"a Dask worker at {self.address} cannot run cells: {one_line(error)}") from error
        if parcel is not None:
            parcel.unpack(cell, folder, record)
        return record

    @contextmanager
    def scheduler(self) -> Iterator[None]:
        """Say in one line when the scheduler does not answer any more."""
        try:
            yield
        except (CancelledError, self.closed, OSError) as error:
            raise UserError(
                f"the Dask scheduler at {self.address} is gone; what is finished is kept, and the same command goes on"
            ) from error

    def close(self) -> None:
        """See `Backend`. A cell that runs now ends by itself, and where the folder is shared, it is kept."""
        with suppress(self.closed, OSError):
            self.executor.shutdown(wait=False)
        self.client.close(timeout=5)
        if self.proof is not None:
            remove(self.proof)


@dataclass(frozen=True)
class Parcel:
    """The files of a cell, for the way back to a folder that its worker does not see.

    Attributes:
        traces: split -> the trace's bytes.
        model: the trained model, where other cells start from it.
        environment: what the cell ran on, as its file says it.
    """

    traces: dict[str, bytes]
    model: bytes | None
    environment: bytes

    @classmethod
    def pack(cls, key: str, folder: RunFolder, record: dict) -> Parcel:
        """Take a cell's files out of a folder."""
        traces = {split: folder.trace_path(key, split) for split in record.get("traces", {})}
        model = folder.checkpoint_path(key) if record.get("model") else None
        parcel = cls(
            {split: path.read_bytes() for split, path in traces.items()},
            model.read_bytes() if model else None,
            folder.environment_path(record["environment"]).read_bytes(),
        )
        for path in (*traces.values(), folder.record_path(key), *filter(None, [model])):
            path.unlink()
        return parcel

    def unpack(self, cell: Cell, folder: RunFolder, record: dict) -> None:
        """Write a cell's files into a folder, the record last; no name that came along becomes a path."""
        for split in TASKS[cell.spec["task"]].splits:
            if split in self.traces:
                write_bytes(folder.trace_path(cell.key, split), self.traces[split])
        if self.model is not None:
            write_bytes(folder.checkpoint_path(cell.key), self.model)
        if re.fullmatch("[0-9a-f]{16}", record["environment"]):
            write_bytes(folder.environment_path(record["environment"]), self.environment)
        folder.write_record({**record, "key": cell.key})


@dataclass(frozen=True)
class Place:
    """A slot in a Dask worker's process, and a folder for cells whose run folder the worker does not see."""

    slot: Slot
    scratch: tempfile.TemporaryDirectory


#: Places of this process that no cell is in; a Dask worker makes them when it needs them and keeps them warm.
_idle: list[Place] = []


def run_on_worker(
    function: str,
    cell: Cell,
    work: Work,
    keep_model: bool,
    timeout: float | None,
    proof: Path,
    model: bytes | None,
    code: str,
) -> tuple[dict, Parcel | None]:
    """What a Dask worker does for one cell.

    Args:
        function: what runs a cell, see `bench.slot.Slot`.
        cell: what to run.
        work: where.
        keep_model: whether other cells start from the trained model.
        timeout: seconds that it may take.
        proof: a file that is there where the run folder is shared.
        model: the model that the cell starts from, where it is not.
        code: hash of the code that asks.

    Returns:
        The record; and the cell's files, where the run folder is not shared.

    Raises:
        UserError: this worker runs another version of the program.
        CellDied, CellHung: see `bench.slot.Slot.run`.
    """
    if code_hash() != code:
        raise UserError(f"the Dask worker on {platform.node()} runs another version of this program: install the same")
    # Dask marks its worker processes as having no children; ours end with it, see bench.slot.end_with
    multiprocessing.process.current_process()._config["daemon"] = False
    shared = proof.is_file()
    if shared and (record := work.folder.settled(cell.key, keep_model)):
        return record, None  # done meanwhile, by a run that lost sight of this task
    place = _idle.pop() if _idle else Place(Slot(function), tempfile.TemporaryDirectory(prefix="early-exit-bench-"))
    try:
        if shared:
            return place.slot.run(cell, work, keep_model, timeout), None
        folder = RunFolder(Path(place.scratch.name))
        folder.create()
        if model is not None:
            write_bytes(folder.checkpoint_path(cell.start), model)
        record = place.slot.run(cell, replace(work, folder=folder), keep_model, timeout)
        if model is not None:
            remove(folder.checkpoint_path(cell.start))
        return record, Parcel.pack(cell.key, folder, record)
    finally:
        _idle.append(place)
